//! A condition and the facts of one version → true, false or unknown; without allocating.
//!
//! Beside each answer stands until when it holds by itself, and which facts were missing for it.
//! Both are as narrow as the logic allows: what did not matter to the answer is not in them.

use std::cmp::Ordering;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::node::{AdvisoryField, MAX_VARIABLES, Node, Order, Part, Quantifier, Since};
use super::{Answer, Subject};
use crate::facts::{Fact, KnownAdvisory, Missing};
use crate::licence::Licence;
use crate::tri::Tri;

pub(super) fn ask(root: &Node, subject: &Subject<'_>) -> Answer {
    Asking { subject, variables: [Value::Unknown; MAX_VARIABLES] }.answer(root)
}

#[derive(Clone, Copy)]
enum Value<'a> {
    /// Also what a tree of wrong types would give: it opens nothing.
    Unknown,
    Int(i64),
    Double(f64),
    Text(&'a str),
    Time(Timestamp),
    Texts(&'a [Arc<str>]),
    Nodes(&'a [Node]),
    Advisory(&'a KnownAdvisory),
    Advisories(&'a [KnownAdvisory]),
    Licence(&'a Licence),
}

struct Asking<'a> {
    subject: &'a Subject<'a>,
    variables: [Value<'a>; MAX_VARIABLES],
}

impl Answer {
    const fn of(tri: Tri) -> Self {
        Self { tri, until: Timestamp::MAX, missing: Missing::NONE }
    }

    const fn unknown(missing: Missing) -> Self {
        Self { tri: Tri::Unknown, until: Timestamp::MAX, missing }
    }

    fn known(known: Option<bool>, fact: Fact) -> Self {
        known.map_or(Self::unknown(Missing::one(fact)), |known| Self::of(Tri::of(known)))
    }

    const fn not(self) -> Self {
        Self { tri: self.tri.not(), ..self }
    }

    /// Of two answers that both count.
    fn joined(self, other: Self, tri: Tri) -> Self {
        let missing = match tri {
            Tri::Unknown => self.missing.and(other.missing),
            Tri::True | Tri::False => Missing::NONE,
        };
        Self { tri, until: self.until.min(other.until), missing }
    }

    /// One that is false decides alone; of two, the one that lasts longer.
    fn and(self, other: Self) -> Self {
        match (self.tri, other.tri) {
            (Tri::False, Tri::False) => {
                if self.until < other.until {
                    other
                } else {
                    self
                }
            }
            (Tri::False, _) => self,
            (_, Tri::False) => other,
            (a, b) => self.joined(other, a.and(b)),
        }
    }
}

impl<'a> Asking<'a> {
    fn answer(&self, node: &'a Node) -> Answer {
        match node {
            Node::Bool(known) => Answer::of(Tri::of(*known)),
            Node::Told(of) => self.told(of),
            Node::Readable(of) => {
                let mut missing = Missing::NONE;
                match self.value(of, &mut missing) {
                    Value::Licence(licence) => Answer::of(Tri::of(licence.is_readable())),
                    _ => self.not_told(missing),
                }
            }
            Node::Own => Answer::of(Tri::of(self.subject.facts.own)),
            Node::Fact(fact) => self.fact(*fact),
            Node::Not(of) => self.answer(of).not(),
            Node::And(of) => {
                let first = self.answer(&of.0);
                let lasts = first.tri == Tri::False && first.until == Timestamp::MAX;
                if lasts { first } else { first.and(self.answer(&of.1)) }
            }
            Node::Or(of) => {
                let first = self.answer(&of.0);
                let lasts = first.tri == Tri::True && first.until == Timestamp::MAX;
                if lasts { first } else { first.not().and(self.answer(&of.1).not()).not() }
            }
            Node::If(of) => {
                let (condition, then, otherwise) = &**of;
                let condition = self.answer(condition);
                let chosen = match condition.tri {
                    Tri::True => self.answer(then),
                    Tri::False => self.answer(otherwise),
                    Tri::Unknown => return condition,
                };
                Answer { until: chosen.until.min(condition.until), ..chosen }
            }
            Node::Same(of) => {
                let (a, b) = (self.answer(&of.0), self.answer(&of.1));
                let unknown = a.tri == Tri::Unknown || b.tri == Tri::Unknown;
                a.joined(b, if unknown { Tri::Unknown } else { Tri::of(a.tri == b.tri) })
            }
            Node::Aged { since, order, than } => self.aged(*since, *order, *than),
            Node::Each { quantifier, list, each, depth } => {
                self.each(*quantifier, list, each, *depth)
            }
            _ => {
                let mut missing = Missing::NONE;
                match self.compared(node, &mut missing) {
                    Tri::Unknown => Answer::unknown(missing),
                    known => Answer::of(known),
                }
            }
        }
    }

    /// Whether it is known.
    fn told(&self, node: &'a Node) -> Answer {
        let mut missing = Missing::NONE;
        if !matches!(self.value(node, &mut missing), Value::Unknown) {
            return Answer::of(Tri::True);
        }
        let answer = self.answer(node);
        match answer.tri {
            Tri::True | Tri::False => Answer::of(Tri::True),
            Tri::Unknown => self.not_told(missing.and(answer.missing)),
        }
    }

    /// What will be known once somebody looks is not called unknown for good.
    fn not_told(&self, missing: Missing) -> Answer {
        let pending = missing.common(self.subject.facts.pending);
        if pending.is_empty() { Answer::of(Tri::False) } else { Answer::unknown(pending) }
    }

    fn fact(&self, fact: Fact) -> Answer {
        let facts = self.subject.facts;
        let known = match fact {
            Fact::FixesAdvisory => facts.fixes_advisory,
            Fact::Deprecated => facts.deprecated,
            Fact::Yanked => facts.yanked,
            Fact::Unlisted => facts.unlisted,
            Fact::InstallScripts => facts.install_scripts,
            Fact::Provenance => facts.provenance,
            Fact::PublisherChanged => facts.publisher_changed,
            Fact::Contradicts => facts.contradicts(),
            _ => None,
        };
        Answer::known(known, fact)
    }

    /// What depends on no time, of operands that are no conditions.
    fn compared(&self, node: &'a Node, missing: &mut Missing) -> Tri {
        match node {
            Node::Ordered(order, of) => {
                let (a, b) = (self.value(&of.0, missing), self.value(&of.1, missing));
                let ordering = match (a, b) {
                    (Value::Unknown, _) | (_, Value::Unknown) => return Tri::Unknown,
                    (Value::Time(a), Value::Time(b)) => Some(a.cmp(&b)),
                    (a, b) => compare_numbers(a, b),
                };
                Tri::of(ordering.is_some_and(|ordering| match order {
                    Order::Less => ordering.is_lt(),
                    Order::LessOrEqual => ordering.is_le(),
                    Order::Greater => ordering.is_gt(),
                    Order::GreaterOrEqual => ordering.is_ge(),
                }))
            }
            Node::Equal(of) => equal(self.value(&of.0, missing), self.value(&of.1, missing)),
            Node::In(of) => {
                let asked = self.value(&of.0, missing);
                self.elements(&of.1, missing, Tri::False, |element, _| equal(asked, element))
            }
            Node::Has(part, of) => {
                let (Value::Text(text), Value::Text(sought)) =
                    (self.value(&of.0, missing), self.value(&of.1, missing))
                else {
                    return Tri::Unknown;
                };
                Tri::of(match part {
                    Part::Start => text.starts_with(sought),
                    Part::End => text.ends_with(sought),
                    Part::Anywhere => text.contains(sought),
                })
            }
            Node::Matches(text, expression) => match self.value(text, missing) {
                Value::Text(text) => Tri::of(expression.is_match(text)),
                _ => Tri::Unknown,
            },
            Node::Field(advisory, field) => match self.value(advisory, missing) {
                Value::Advisory(advisory) if *field == AdvisoryField::Malicious => {
                    Tri::of(advisory.malicious)
                }
                Value::Advisory(advisory) if *field == AdvisoryField::Withdrawn => {
                    Tri::of(advisory.withdrawn)
                }
                _ => Tri::Unknown,
            },
            Node::Scored(advisory) => match self.value(advisory, missing) {
                Value::Advisory(advisory) => Tri::of(advisory.severity.is_some()),
                _ => Tri::Unknown,
            },
            Node::Known(of) => match self.value(of, missing) {
                Value::Unknown => Tri::Unknown,
                _ => Tri::True,
            },
            Node::Licensed { judgement, licence, list } => match self.value(licence, missing) {
                Value::Licence(licence) => {
                    let judged = licence.judge(*judgement, list);
                    if judged == Tri::Unknown {
                        *missing = missing.and(Missing::one(Fact::Licence));
                    }
                    judged
                }
                _ => Tri::Unknown,
            },
            _ => Tri::Unknown,
        }
    }

    fn value(&self, node: &'a Node, missing: &mut Missing) -> Value<'a> {
        let Subject { package, version, facts } = self.subject;
        let (known, fact) = match node {
            Node::Int(number) => return Value::Int(*number),
            Node::Double(number) => return Value::Double(*number),
            Node::Text(text) => return Value::Text(text),
            Node::Time(time) => return Value::Time(*time),
            Node::List { nodes, constant } => {
                // A list with an unknown element is unknown as a whole, as CEL has it.
                let unknown = |node| matches!(self.value(node, missing), Value::Unknown);
                let whole = *constant || !nodes.iter().any(unknown);
                return if whole { Value::Nodes(nodes) } else { Value::Unknown };
            }
            Node::Name => return Value::Text(package.name()),
            Node::Version => return Value::Text(version),
            Node::Ecosystem => return Value::Text(package.ecosystem().as_str()),
            Node::Variable(depth) => return self.variables[*depth],
            Node::LicenceText(licence) => match self.value(licence, missing) {
                Value::Licence(licence) => return Value::Text(licence.text()),
                _ => return Value::Unknown,
            },
            Node::Field(advisory, field) => {
                let Value::Advisory(advisory) = self.value(advisory, missing) else {
                    return Value::Unknown;
                };
                match field {
                    AdvisoryField::Id => return Value::Text(&advisory.id),
                    AdvisoryField::Aliases => return Value::Texts(&advisory.aliases),
                    AdvisoryField::Fixed => return Value::Texts(&advisory.fixed),
                    AdvisoryField::Severity => {
                        (advisory.severity.map(Value::Double), Fact::Severity)
                    }
                    AdvisoryField::Malicious | AdvisoryField::Withdrawn => return Value::Unknown,
                }
            }
            Node::Size(of) => {
                let count = match self.value(of, missing) {
                    Value::Text(text) => text.chars().count(),
                    Value::Texts(list) => list.len(),
                    Value::Nodes(list) => list.len(),
                    Value::Advisories(list) => list.len(),
                    _ => return Value::Unknown,
                };
                return i64::try_from(count).map_or(Value::Unknown, Value::Int);
            }
            Node::Fact(fact) => {
                let known = match fact {
                    Fact::Registry => facts.registry.map(Value::Text),
                    Fact::Publisher => facts.publisher.map(Value::Text),
                    Fact::SimilarTo => facts.similar_to.map(Value::Text),
                    Fact::Description => facts.description.map(Value::Text),
                    Fact::Repository => facts.repository.map(Value::Text),
                    Fact::RustVersion => facts.rust_version.map(Value::Text),
                    Fact::Published => facts.published.map(Value::Time),
                    Fact::FirstSeen => facts.first_seen.map(Value::Time),
                    Fact::Licence => facts.licence.map(Value::Licence),
                    Fact::Advisories => facts.advisories.map(Value::Advisories),
                    Fact::Dependencies => facts.dependencies.map(|count| Value::Int(count.into())),
                    // More bytes than an i64 counts are as good as that many.
                    Fact::Size => {
                        facts.size.map(|bytes| Value::Int(i64::try_from(bytes).unwrap_or(i64::MAX)))
                    }
                    _ => None,
                };
                (known, *fact)
            }
            _ => return Value::Unknown,
        };
        known.unwrap_or_else(|| {
            *missing = missing.and(Missing::one(fact));
            Value::Unknown
        })
    }

    /// What `each` says of the elements, joined by "or" from `none` on.
    fn elements(
        &self,
        list: &'a Node,
        missing: &mut Missing,
        none: Tri,
        mut each: impl FnMut(Value<'a>, &mut Missing) -> Tri,
    ) -> Tri {
        let mut found = none;
        let mut see = |element: Value<'a>, missing: &mut Missing| {
            found = found.or(each(element, missing));
            found != Tri::True
        };
        match self.value(list, missing) {
            Value::Texts(texts) => {
                texts.iter().all(|text| see(Value::Text(text), missing));
            }
            Value::Nodes(nodes) => {
                nodes.iter().all(|node| {
                    let element = self.value(node, missing);
                    see(element, missing)
                });
            }
            Value::Advisories(list) => {
                list.iter().all(|advisory| see(Value::Advisory(advisory), missing));
            }
            _ => return Tri::Unknown,
        }
        found
    }

    fn each(&self, quantifier: Quantifier, list: &'a Node, each: &'a Node, depth: usize) -> Answer {
        // "All" is that there is none of which it is not true.
        let turned = |answer: Answer| match quantifier {
            Quantifier::Exists => answer.not(),
            Quantifier::All => answer,
        };
        let mut all = Answer::of(Tri::True);
        let mut missing = Missing::NONE;
        let seen = self.elements(list, &mut missing, Tri::False, |element, _| {
            let mut variables = self.variables;
            variables[depth] = element;
            let answer = Asking { subject: self.subject, variables }.answer(each);
            all = all.and(turned(answer));
            Tri::of(all.tri == Tri::False && all.until == Timestamp::MAX)
        });
        if seen == Tri::Unknown {
            return Answer::unknown(missing);
        }
        turned(all)
    }

    fn aged(&self, since: Since, order: Order, than: SignedDuration) -> Answer {
        let facts = self.subject.facts;
        let (moment, fact) = match since {
            Since::Published => (facts.published, Fact::Published),
            Since::FirstSeen => (facts.first_seen, Fact::FirstSeen),
        };
        let Some(moment) = moment else {
            return Answer::unknown(Missing::one(fact));
        };
        // Where the moment of that age is beyond all time, it never comes, or always was.
        let Ok(turn) = moment.checked_add(than) else {
            let younger = than > SignedDuration::ZERO;
            let asks_younger = matches!(order, Order::Less | Order::LessOrEqual);
            return Answer::of(Tri::of(younger == asks_younger));
        };
        // The first moment at which it is no longer what it was.
        let turn = match order {
            Order::Less | Order::GreaterOrEqual => Some(turn),
            Order::LessOrEqual | Order::Greater => {
                turn.checked_add(SignedDuration::from_nanos(1)).ok()
            }
        };
        let younger = turn.is_none_or(|turn| facts.now < turn);
        let until = turn.filter(|_| younger).unwrap_or(Timestamp::MAX);
        let asks_younger = matches!(order, Order::Less | Order::LessOrEqual);
        Answer { until, ..Answer::of(Tri::of(younger == asks_younger)) }
    }
}

fn equal(a: Value<'_>, b: Value<'_>) -> Tri {
    match (a, b) {
        (Value::Unknown, _) | (_, Value::Unknown) => Tri::Unknown,
        (Value::Text(a), Value::Text(b)) => Tri::of(a == b),
        (Value::Time(a), Value::Time(b)) => Tri::of(a == b),
        (a, b) => Tri::of(compare_numbers(a, b) == Some(Ordering::Equal)),
    }
}

/// By value, whatever their types; `None` where one is not a number.
fn compare_numbers(a: Value<'_>, b: Value<'_>) -> Option<Ordering> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(&b)),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(&b),
        (Value::Int(a), Value::Double(b)) => compare_mixed(a, b),
        (Value::Double(a), Value::Int(b)) => compare_mixed(b, a).map(Ordering::reverse),
        _ => None,
    }
}

/// Exact: an i64 that no f64 can hold is not rounded first.
fn compare_mixed(int: i64, double: f64) -> Option<Ordering> {
    /// 2⁶³, the first number above all of i64.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if double.is_nan() {
        return None;
    }
    if double >= BEYOND {
        return Some(Ordering::Less);
    }
    if double < -BEYOND {
        return Some(Ordering::Greater);
    }
    // In range, by the two comparisons above; the fraction is looked at behind it.
    #[allow(clippy::cast_possible_truncation)]
    let whole = double.trunc() as i64;
    Some(
        int.cmp(&whole)
            .then_with(|| 0.0_f64.partial_cmp(&double.fract()).unwrap_or(Ordering::Equal)),
    )
}
