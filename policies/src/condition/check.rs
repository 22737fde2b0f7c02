//! The parser's tree → a [`Node`] of right names and types, or every fault with its place.

mod functions;

use super::node::{AdvisoryField, MAX_VARIABLES, Node, Order, Quantifier, Type};
use super::{ConditionFault, bounds, names};
use crate::rules::{nearest, shown};
use cel::common::ast::{
    CallExpr, ComprehensionExpr, Expr, IdedExpr, ListExpr, LiteralValue, SelectExpr, SourceInfo,
};
use cel::parser::Parser;

/// Deepest tree, which a chain of operators makes without a bracket.
const MAX_DEPTH: usize = 40;
/// Brackets nest less deeply; chains of `? :` count here, too.
const MAX_RECURSION: u16 = 32;

pub(super) fn compile(text: &str) -> Result<Node, Vec<ConditionFault>> {
    let parser = Parser::new().max_recursion_depth(MAX_RECURSION).error_recovery_limit(1);
    let (written, told) = bounds::with_told(text);
    let (tree, source) = parser
        .parse_with_source_info(&written)
        .map_err(|errors| vec![syntax_fault(text, &errors)])?;
    let (scope, faults) = (Vec::new(), Vec::new());
    let mut checker = Checker { text, told, source, scope, depth: 0, faults };
    let root = checker.of_type(&tree, Type::Bool, "a condition");
    match root {
        Some(root) if checker.faults.is_empty() => Ok(root),
        _ => Err(checker.faults),
    }
}

/// The first of the parser's errors, which the others only follow from.
fn syntax_fault(text: &str, errors: &cel::ParseErrors) -> ConditionFault {
    let remedy = "write it as in age < duration('168h') && !fixes_advisory".to_owned();
    let Some(first) = errors.errors.iter().find(|error| error.pos.0 > 0) else {
        return ConditionFault { at: 0, message: "this is no CEL expression".to_owned(), remedy };
    };
    let (line, column) = first.pos;
    let start = text
        .split_inclusive('\n')
        .take(usize::try_from(line).unwrap_or(1).saturating_sub(1))
        .map(str::len)
        .sum::<usize>();
    let at = start + usize::try_from(column).unwrap_or(1).saturating_sub(1);
    let told = first.msg.strip_prefix("Syntax error: ").unwrap_or(&first.msg);
    // The list of all that could stand there helps nobody.
    let told = told.split(" expecting ").next().unwrap_or(told);
    let message = if told.contains("Recursion limit") {
        "the condition is nested too deeply".to_owned()
    } else {
        format!(
            "this is no CEL expression: {}",
            told.replace("'<EOF>'", "the end").replace(bounds::TOLD, "has")
        )
    };
    ConditionFault { at: text.floor_char_boundary(at), message, remedy }
}

struct Checker<'t> {
    text: &'t str,
    /// Where `has` asks for a fact.
    told: Vec<usize>,
    source: SourceInfo,
    /// Variables of the `exists` and `all` around, the innermost last.
    scope: Vec<(String, Type)>,
    depth: usize,
    faults: Vec<ConditionFault>,
}

type Typed = Option<(Node, Type)>;

impl Checker<'_> {
    fn fault<T>(
        &mut self,
        at: usize,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Option<T> {
        self.faults.push(ConditionFault { at, message: message.into(), remedy: remedy.into() });
        None
    }

    /// Where the parser saw it: of an operation its sign, of a call its opening bracket.
    fn place(&self, expr: &IdedExpr) -> usize {
        self.source.offset_for(expr.id).map_or(0, |(start, _)| start as usize)
    }

    /// Where the name begins that stands before the bracket of a call.
    fn place_of_name(&self, expr: &IdedExpr, name: &str) -> usize {
        let place = self.place(expr);
        let before = self.text.get(..place).unwrap_or_default().trim_end();
        if before.ends_with(name) { before.len() - name.len() } else { place }
    }

    fn of_type(&mut self, expr: &IdedExpr, wanted: Type, role: &str) -> Option<Node> {
        let (node, of) = self.node(expr)?;
        if of == wanted {
            return Some(node);
        }
        let remedy = match (of, wanted) {
            (Type::Age(_), _) => "compare it, as in age < duration('168h')",
            (Type::Text, Type::Bool) => "compare it, as in name == 'react'",
            (Type::Number, Type::Bool) => "compare it, as in dependencies > 100",
            (Type::Advisories, Type::Bool) => "write advisories.exists(a, a.severity >= 9.0)",
            (Type::Licence, Type::Bool) => "write licence.allowed(['family:permissive'])",
            _ => "",
        };
        let message = format!("{role} is {}, this is {}", wanted.words(), of.words());
        self.fault(self.place(expr), message, remedy)
    }

    fn node(&mut self, expr: &IdedExpr) -> Typed {
        if self.depth == MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} operations are nested here");
            return self.fault(self.place(expr), message, "make several rules of it");
        }
        self.depth += 1;
        let typed = self.node_here(expr);
        self.depth -= 1;
        typed
    }

    fn node_here(&mut self, expr: &IdedExpr) -> Typed {
        let place = self.place(expr);
        match &expr.expr {
            Expr::Ident(name) => self.variable(place, name),
            Expr::Literal(literal) => self.literal(place, literal),
            Expr::List(list) => self.list(place, list),
            Expr::Select(select) => self.select(place, select),
            Expr::Call(call) => self.call(expr, call),
            Expr::Comprehension(each) => self.each(expr, each),
            Expr::Map(_) | Expr::Struct(_) => self.fault(
                place,
                "maps and messages are not supported",
                "use lists, as in ['a', 'b']",
            ),
            Expr::Unspecified => self.fault(place, "something is missing here", ""),
        }
    }

    fn variable(&mut self, place: usize, name: &str) -> Typed {
        if let Some(depth) = self.scope.iter().rposition(|(bound, _)| bound == name) {
            return Some((Node::Variable(depth), self.scope[depth].1));
        }
        if let Some(known) = names::variable(name) {
            return Some(known);
        }
        let bound = self.scope.iter().map(|(bound, _)| bound.as_str());
        let all: Vec<&str> = names::VARIABLES.into_iter().chain(bound).collect();
        let remedy = match (name, nearest(name, &all)) {
            _ if name.starts_with('.') => "leave out the dot before it".to_owned(),
            ("now", _) => "compare `age` or `age_here` with a duration instead".to_owned(),
            (_, Some(near)) => format!("did you mean `{near}`?"),
            (_, None) => format!("there are {}", names::VARIABLES.join(", ")),
        };
        self.fault(place, format!("there is no fact {}", shown(name)), remedy)
    }

    fn literal(&mut self, place: usize, literal: &LiteralValue) -> Typed {
        Some(match literal {
            LiteralValue::Boolean(known) => (Node::Bool(*known.inner()), Type::Bool),
            LiteralValue::Int(number) => (Node::Int(*number.inner()), Type::Number),
            LiteralValue::Double(number) => (Node::Double(*number.inner()), Type::Number),
            LiteralValue::String(text) => (Node::Text(text.inner().into()), Type::Text),
            LiteralValue::UInt(_) => {
                return self.fault(place, "unsigned numbers are not supported", "leave out the u");
            }
            LiteralValue::Bytes(_) => {
                return self.fault(place, "bytes are not supported", "leave out the b");
            }
            LiteralValue::Null => {
                let remedy = "a fact that is not known is never true nor false by itself";
                return self.fault(place, "null is not supported", remedy);
            }
        })
    }

    fn list(&mut self, place: usize, list: &ListExpr) -> Typed {
        let mut nodes = Vec::with_capacity(list.elements.len());
        let mut of = None;
        for element in &list.elements {
            let (node, found) = self.node(element)?;
            let first = *of.get_or_insert(found);
            if first != found {
                let message =
                    format!("this list begins with {}, this is {}", first.words(), found.words());
                return self.fault(self.place(element), message, "write one kind into a list");
            }
            nodes.push(node);
        }
        let of = match of {
            Some(Type::Text) => Type::Texts,
            Some(Type::Number) => Type::Numbers,
            Some(other) => {
                let message = format!("a list holds texts or numbers, this is {}", other.words());
                return self.fault(place, message, "write them out, joined by || or &&");
            }
            None => return self.fault(place, "this list is empty", "write what it should hold"),
        };
        let written = |node: &Node| matches!(node, Node::Text(_) | Node::Int(_) | Node::Double(_));
        let constant = nodes.iter().all(written);
        Some((Node::List { nodes: nodes.into(), constant }, of))
    }

    fn select(&mut self, place: usize, select: &SelectExpr) -> Typed {
        let (operand, of) = self.node(&select.operand)?;
        let field = select.field.as_str();
        // Of a call the parser knows the sign before the name.
        let at = if select.test { self.place(&select.operand) } else { place + 1 };
        let (node, of) = match of {
            Type::Advisory => match names::advisory_field(field) {
                Some((AdvisoryField::Severity, _)) if select.test => {
                    return Some((Node::Scored(Box::new(operand)), Type::Bool));
                }
                Some((_, _)) if select.test => {
                    return Some((Node::Known(Box::new(operand)), Type::Bool));
                }
                Some((known, of)) => (Node::Field(Box::new(operand), known), of),
                None => return self.no_field(at, field, "an advisory", &names::ADVISORY_FIELDS),
            },
            Type::Licence if field == "text" && select.test => {
                (Node::Known(Box::new(operand)), Type::Bool)
            }
            Type::Licence if field == "text" => (Node::LicenceText(Box::new(operand)), Type::Text),
            Type::Licence if field == "readable" && !select.test => {
                (Node::Readable(Box::new(operand)), Type::Bool)
            }
            Type::Licence => return self.no_field(at, field, "a licence", &["text", "readable"]),
            other => {
                let message = format!("{} has no fields", other.words());
                let remedy = match other {
                    Type::Advisories => "ask each of them: advisories.exists(a, a.severity >= 9.0)",
                    _ => "",
                };
                return self.fault(at, message, remedy);
            }
        };
        Some((node, of))
    }

    fn no_field(&mut self, at: usize, field: &str, whose: &str, fields: &[&str]) -> Typed {
        let remedy = match nearest(field, fields) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it has {}", fields.join(", ")),
        };
        self.fault(at, format!("{whose} has no field {}", shown(field)), remedy)
    }

    fn call(&mut self, expr: &IdedExpr, call: &CallExpr) -> Typed {
        if call.target.is_none() {
            let operator = match (call.func_name.as_str(), call.args.as_slice()) {
                ("_&&_", [a, b]) => Some(self.joined(a, b, "a side of &&", Node::And)),
                ("_||_", [a, b]) => Some(self.joined(a, b, "a side of ||", Node::Or)),
                ("!_", [of]) => {
                    let of = self.of_type(of, Type::Bool, "what `!` turns around");
                    Some(of.map(|of| (Node::Not(Box::new(of)), Type::Bool)))
                }
                ("_?_:_", [condition, then, otherwise]) => {
                    Some(self.choice(condition, then, otherwise))
                }
                ("_<_", [a, b]) => Some(self.ordered(expr, a, b, Order::Less)),
                ("_<=_", [a, b]) => Some(self.ordered(expr, a, b, Order::LessOrEqual)),
                ("_>_", [a, b]) => Some(self.ordered(expr, a, b, Order::Greater)),
                ("_>=_", [a, b]) => Some(self.ordered(expr, a, b, Order::GreaterOrEqual)),
                ("_==_", [a, b]) => Some(self.equal(expr, a, b)),
                ("_!=_", [a, b]) => {
                    let equal = self.equal(expr, a, b);
                    Some(equal.map(|(node, of)| (Node::Not(Box::new(node)), of)))
                }
                ("@in", [element, list]) => Some(self.element_in(expr, element, list)),
                (name, _) if name.starts_with(['_', '-', '@']) => {
                    let message = "arithmetic, indexes and other operators are not supported";
                    Some(self.fault(self.place(expr), message, "write what it comes to"))
                }
                _ => None,
            };
            if let Some(typed) = operator {
                return typed;
            }
        }
        self.function(expr, call)
    }

    fn joined(
        &mut self,
        a: &IdedExpr,
        b: &IdedExpr,
        role: &str,
        make: fn(Box<(Node, Node)>) -> Node,
    ) -> Typed {
        // Both sides, so that the faults of both are told.
        let (a, b) = (self.of_type(a, Type::Bool, role), self.of_type(b, Type::Bool, role));
        Some((make(Box::new((a?, b?))), Type::Bool))
    }

    fn choice(&mut self, condition: &IdedExpr, then: &IdedExpr, otherwise: &IdedExpr) -> Typed {
        let condition = self.of_type(condition, Type::Bool, "what stands before `?`");
        let then = self.of_type(then, Type::Bool, "what is chosen by `?`");
        let otherwise = self.of_type(otherwise, Type::Bool, "what is chosen by `?`");
        Some((Node::If(Box::new((condition?, then?, otherwise?))), Type::Bool))
    }

    fn both(&mut self, a: &IdedExpr, b: &IdedExpr) -> Option<((Node, Type), (Node, Type))> {
        let (a, b) = (self.node(a), self.node(b));
        Some((a?, b?))
    }

    fn ordered(&mut self, expr: &IdedExpr, a: &IdedExpr, b: &IdedExpr, order: Order) -> Typed {
        let ((left, left_type), (right, right_type)) = self.both(a, b)?;
        let node = match (left_type, right_type, left, right) {
            (Type::Number, Type::Number, a, b) | (Type::Time, Type::Time, a, b) => {
                Node::Ordered(order, Box::new((a, b)))
            }
            (Type::Age(since), Type::Duration, _, Node::Duration(than)) => {
                Node::Aged { since, order, than }
            }
            (Type::Duration, Type::Age(since), Node::Duration(than), _) => {
                Node::Aged { since, order: order.turned(), than }
            }
            (a, b, ..) => {
                let message = format!("{} and {} have no order", a.words(), b.words());
                let remedy = match (a, b) {
                    (Type::Age(_), _) | (_, Type::Age(_)) => {
                        "compare an age with a duration, as in age < duration('168h')"
                    }
                    (Type::Text, Type::Text) => {
                        "versions are compared by the rule's own `versions`, texts by == and in"
                    }
                    _ => "compare two numbers, two times, or an age with a duration",
                };
                return self.fault(self.place(expr), message, remedy);
            }
        };
        Some((node, Type::Bool))
    }

    fn equal(&mut self, expr: &IdedExpr, a: &IdedExpr, b: &IdedExpr) -> Typed {
        let ((left, left_type), (right, right_type)) = self.both(a, b)?;
        let node = match (left_type, right_type) {
            (Type::Text, Type::Text) | (Type::Number, Type::Number) | (Type::Time, Type::Time) => {
                Node::Equal(Box::new((left, right)))
            }
            (Type::Bool, Type::Bool) => Node::Same(Box::new((left, right))),
            (a, b) => {
                let message = format!("{} and {} are never compared", a.words(), b.words());
                let remedy = match (a, b) {
                    (Type::Age(_), _) | (_, Type::Age(_)) => {
                        "ask whether it is younger or older: age < duration('168h')"
                    }
                    (Type::Licence, _) | (_, Type::Licence) => {
                        "write licence.allowed(['MIT']), or licence.text == 'MIT'"
                    }
                    _ => "compare two texts, two numbers, two times or two conditions",
                };
                return self.fault(self.place(expr), message, remedy);
            }
        };
        Some((node, Type::Bool))
    }

    fn element_in(&mut self, expr: &IdedExpr, element: &IdedExpr, list: &IdedExpr) -> Typed {
        let ((element, of), (list, list_type)) = self.both(element, list)?;
        if matches!(list_type, Type::Texts | Type::Numbers) && list_type.element() == Some(of) {
            return Some((Node::In(Box::new((element, list))), Type::Bool));
        }
        let message = format!("{} is never in {}", of.words(), list_type.words());
        self.fault(self.place(expr), message, "write a list of the same, as in ['a', 'b']")
    }

    /// What the parser makes of `exists` and `all`; it makes the like of other macros, too.
    fn each(&mut self, expr: &IdedExpr, each: &ComprehensionExpr) -> Typed {
        let found = match (&each.accu_init.expr, &each.loop_step.expr) {
            (Expr::Literal(LiteralValue::Boolean(start)), Expr::Call(step)) => {
                match (*start.inner(), step.func_name.as_str(), step.args.as_slice()) {
                    (false, "_||_", [_, each]) => Some((Quantifier::Exists, each)),
                    (true, "_&&_", [_, each]) => Some((Quantifier::All, each)),
                    _ => None,
                }
            }
            _ => None,
        };
        let place = self.place(expr);
        let Some((quantifier, predicate)) = found.filter(|_| each.iter_var2.is_none()) else {
            let message = "of the functions over lists only `exists` and `all` are supported";
            return self.fault(place, message, "write advisories.exists(a, a.severity >= 9.0)");
        };
        let (list, list_type) = self.node(&each.iter_range)?;
        let Some(element) = list_type.element() else {
            let message = format!("only lists are gone through, this is {}", list_type.words());
            return self.fault(self.place(&each.iter_range), message, "");
        };
        let depth = self.scope.len();
        if depth == MAX_VARIABLES {
            let message = format!("more than {MAX_VARIABLES} lists are gone through in each other");
            return self.fault(place, message, "make several rules of it");
        }
        self.scope.push((each.iter_var.clone(), element));
        let predicate = self.of_type(predicate, Type::Bool, "what is asked of each");
        self.scope.pop();
        let (list, each) = (Box::new(list), Box::new(predicate?));
        Some((Node::Each { quantifier, list, each, depth }, Type::Bool))
    }
}
