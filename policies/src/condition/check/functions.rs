//! The functions of conditions: what they are called on, and with what.

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue};

use super::super::node::{Node, Part, Since, Type};
use super::super::{bounds, literals, names, regexes};
use super::{Checker, Typed};
use crate::facts::Fact;
use crate::licence::{Entry, Judgement};
use crate::rules::{nearest, shown};

impl Checker<'_> {
    pub(super) fn function(&mut self, expr: &IdedExpr, call: &CallExpr) -> Typed {
        let name = call.func_name.as_str();
        if name == bounds::TOLD
            && let Some(at) = self.place_of_told(expr)
        {
            return self.told(at, &call.args);
        }
        let at = self.place_of_name(expr, name);
        match (name, call.target.as_deref(), call.args.as_slice()) {
            ("startsWith", Some(text), [sought]) => self.has_part(text, sought, Part::Start),
            ("endsWith", Some(text), [sought]) => self.has_part(text, sought, Part::End),
            ("contains", Some(text), [sought]) => self.has_part(text, sought, Part::Anywhere),
            ("matches", Some(text), [expression]) | ("matches", None, [text, expression]) => {
                self.matches(text, expression)
            }
            ("size", Some(of), []) | ("size", None, [of]) => {
                let (node, of_type) = self.node(of)?;
                if of_type == Type::Text || of_type.element().is_some() {
                    return Some((Node::Size(Box::new(node)), Type::Number));
                }
                let message = format!("{} has no size", of_type.words());
                self.fault(self.place(of), message, "texts and lists have one")
            }
            ("duration", None, [text]) => {
                let than =
                    self.constant(text, literals::duration, "a duration", |text| {
                        match text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok()) {
                            Some(days) => format!(
                                "CEL has no days: write duration('{}h')",
                                u64::from(days) * 24
                            ),
                            None => {
                                "write hours, minutes or seconds, as in duration('168h')".to_owned()
                            }
                        }
                    })?;
                Some((Node::Duration(than), Type::Duration))
            }
            ("timestamp", None, [text]) => {
                let remedy = |_: &str| "write timestamp('2026-01-01T00:00:00Z')".to_owned();
                let time = self.constant(text, literals::timestamp, "a time", remedy)?;
                Some((Node::Time(time), Type::Time))
            }
            ("allowed", Some(licence), [list]) => self.licensed(licence, list, Judgement::Allowed),
            ("denied", Some(licence), [list]) => self.licensed(licence, list, Judgement::Denied),
            _ => {
                let known = names::FUNCTIONS.contains(&name);
                let (message, remedy) = if known {
                    let remedy = format!("write it as in {}", example(name));
                    (format!("`{name}` is not called like this"), remedy)
                } else {
                    let remedy = match nearest(name, &names::FUNCTIONS) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("there are {}", names::FUNCTIONS.join(", ")),
                    };
                    (format!("there is no function {}", shown(name)), remedy)
                };
                self.fault(at, message, remedy)
            }
        }
    }

    /// Of a `has` that asks for a fact.
    fn place_of_told(&self, expr: &IdedExpr) -> Option<usize> {
        let before = self.text.get(..self.place(expr))?.trim_end();
        let at = before.len().checked_sub(bounds::TOLD.len())?;
        self.told.contains(&at).then_some(at)
    }

    /// Whether a fact is known.
    fn told(&mut self, at: usize, args: &[IdedExpr]) -> Typed {
        let [fact] = args else {
            return self.fault(at, "`has` takes one fact", "write has(contradicts)");
        };
        let node = match self.node(fact)? {
            (Node::Age, Type::Age(Since::Published)) => Node::Fact(Fact::Published),
            (Node::Age, Type::Age(Since::FirstSeen)) => Node::Fact(Fact::FirstSeen),
            (node @ Node::Fact(_), _) => node,
            _ => {
                let message = "`has` asks whether a fact is known that may not be";
                return self.fault(self.place(fact), message, "write has(contradicts)");
            }
        };
        Some((Node::Told(Box::new(node)), Type::Bool))
    }

    fn has_part(&mut self, text: &IdedExpr, sought: &IdedExpr, part: Part) -> Typed {
        let text = self.of_type(text, Type::Text, "what is searched");
        let sought = self.of_type(sought, Type::Text, "what is sought");
        Some((Node::Has(part, Box::new((text?, sought?))), Type::Bool))
    }

    fn matches(&mut self, text: &IdedExpr, expression: &IdedExpr) -> Typed {
        let text = self.of_type(text, Type::Text, "what is searched");
        let Expr::Literal(LiteralValue::String(literal)) = &expression.expr else {
            let message = "a regular expression is written out, in quotes";
            return self.fault(self.place(expression), message, "write name.matches('^acme-')");
        };
        match regexes::compile(literal.inner()) {
            Ok(regex) => Some((Node::Matches(Box::new(text?), Box::new(regex)), Type::Bool)),
            Err(why) => {
                let message = format!("this is no regular expression: {why}");
                self.fault(
                    self.place(expression),
                    message,
                    "write one of RE2, as in '^acme-[a-z]+$'",
                )
            }
        }
    }

    /// A text that is written out, read as something else.
    fn constant<T>(
        &mut self,
        expr: &IdedExpr,
        read: fn(&str) -> Option<T>,
        what: &str,
        remedy: impl Fn(&str) -> String,
    ) -> Option<T> {
        let place = self.place(expr);
        let Expr::Literal(LiteralValue::String(literal)) = &expr.expr else {
            return self.fault(place, format!("{what} is written out, in quotes"), remedy(""));
        };
        let text = literal.inner();
        let value = read(text);
        if value.is_none() {
            self.fault::<()>(place, format!("{} is not {what}", shown(text)), remedy(text));
        }
        value
    }

    fn licensed(&mut self, licence: &IdedExpr, list: &IdedExpr, judgement: Judgement) -> Typed {
        let licence = self.of_type(licence, Type::Licence, "what is judged");
        let Expr::List(listed) = &list.expr else {
            let remedy = "write licence.allowed(['MIT', 'family:permissive'])";
            return self.fault(self.place(list), "the licences are a list, written out", remedy);
        };
        if listed.elements.is_empty() {
            return self.fault(self.place(list), "this list is empty", "write what it should hold");
        }
        let mut entries = Vec::with_capacity(listed.elements.len());
        for element in &listed.elements {
            let place = self.place(element);
            let Expr::Literal(LiteralValue::String(text)) = &element.expr else {
                return self.fault(place, "a licence is a text, written out", "write 'MIT'");
            };
            match Entry::parse(text.inner()) {
                Ok(entry) => entries.push(entry),
                Err(remedy) => {
                    let message = format!("{} is no licence", shown(text.inner()));
                    self.fault::<()>(place, message, remedy);
                }
            }
        }
        let (licence, list) = (Box::new(licence?), entries.into());
        Some((Node::Licensed { judgement, licence, list }, Type::Bool))
    }
}

fn example(function: &str) -> &'static str {
    match function {
        "startsWith" => "name.startsWith('acme-')",
        "endsWith" => "name.endsWith('-types')",
        "contains" => "name.contains('crypt')",
        "matches" => "name.matches('^acme-')",
        "size" => "size(advisories) > 0",
        "exists" => "advisories.exists(a, a.malicious)",
        "all" => "advisories.all(a, a.withdrawn)",
        "has" => "has(contradicts) && contradicts",
        "duration" => "age < duration('168h')",
        "timestamp" => "published < timestamp('2026-01-01T00:00:00Z')",
        "allowed" => "licence.allowed(['MIT', 'family:permissive'])",
        _ => "licence.denied(['family:copyleft'])",
    }
}
