//! A checked condition: a small tree whose types are right, so that asking it cannot fail.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use regex::Regex;

use crate::facts::{Fact, Missing};
use crate::licence::{Entry, Judgement};

/// Most variables in scope at once, so most `exists` and `all` in each other.
pub(super) const MAX_VARIABLES: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Bool,
    /// An integer or a floating-point number, which compare with each other by their values.
    Number,
    Text,
    Time,
    /// Since a moment in the past until now: compared with durations and nothing else.
    Age(Since),
    Duration,
    Texts,
    Numbers,
    Advisory,
    Advisories,
    Licence,
}

impl Type {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::Time => "a time",
            Self::Age(_) => "an age",
            Self::Duration => "a duration",
            Self::Texts => "a list of texts",
            Self::Numbers => "a list of numbers",
            Self::Advisory => "an advisory",
            Self::Advisories => "a list of advisories",
            Self::Licence => "a licence",
        }
    }

    /// What a list of this type holds.
    pub(super) const fn element(self) -> Option<Self> {
        match self {
            Self::Texts => Some(Self::Text),
            Self::Numbers => Some(Self::Number),
            Self::Advisories => Some(Self::Advisory),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    Published,
    FirstSeen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    pub(super) const fn turned(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Start,
    End,
    Anywhere,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AdvisoryField {
    Id,
    Aliases,
    Severity,
    Malicious,
    Withdrawn,
    Fixed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    Exists,
    All,
}

#[derive(Debug)]
pub(super) enum Node {
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Arc<str>),
    Time(Timestamp),
    Duration(SignedDuration),
    /// Elements of one type; `constant` where all of them are written out.
    List {
        nodes: Box<[Node]>,
        constant: bool,
    },
    Name,
    Version,
    Ecosystem,
    Own,
    Fact(Fact),
    /// An operand that the checker takes away again: its type says which age.
    Age,
    /// Bound by the quantifier of this depth.
    Variable(usize),
    Field(Box<Node>, AdvisoryField),
    LicenceText(Box<Node>),
    Not(Box<Node>),
    And(Box<(Node, Node)>),
    Or(Box<(Node, Node)>),
    /// All three are conditions.
    If(Box<(Node, Node, Node)>),
    /// Of two numbers or two times.
    Ordered(Order, Box<(Node, Node)>),
    Equal(Box<(Node, Node)>),
    /// Of two conditions.
    Same(Box<(Node, Node)>),
    Aged {
        since: Since,
        order: Order,
        than: SignedDuration,
    },
    In(Box<(Node, Node)>),
    /// Whether the first has the second in it there.
    Has(Part, Box<(Node, Node)>),
    Matches(Box<Node>, Box<Regex>),
    Size(Box<Node>),
    Each {
        quantifier: Quantifier,
        list: Box<Node>,
        each: Box<Node>,
        depth: usize,
    },
    Licensed {
        judgement: Judgement,
        licence: Box<Node>,
        list: Box<[Entry]>,
    },
    /// Whether the advisory gives a score.
    Scored(Box<Node>),
    /// True as soon as the operand is known: `has` of a field that is always there.
    Known(Box<Node>),
    /// Whether the fact is known: `has` of a fact. Unknown only while that is pending.
    Told(Box<Node>),
    /// Whether a licence is stated, and is one that can be judged. Unknown only while that is pending.
    Readable(Box<Node>),
}

impl Node {
    /// The facts that it asks for.
    pub(super) fn facts(&self) -> Missing {
        let both = |of: &(Self, Self)| of.0.facts().and(of.1.facts());
        match self {
            Self::Fact(fact) => Missing::one(*fact),
            Self::Aged { since: Since::Published, .. } => Missing::one(Fact::Published),
            Self::Aged { since: Since::FirstSeen, .. } => Missing::one(Fact::FirstSeen),
            Self::Bool(_)
            | Self::Int(_)
            | Self::Double(_)
            | Self::Text(_)
            | Self::Time(_)
            | Self::Duration(_)
            | Self::Name
            | Self::Version
            | Self::Ecosystem
            | Self::Own
            | Self::Age
            | Self::Variable(_) => Missing::NONE,
            Self::List { nodes, .. } => {
                nodes.iter().fold(Missing::NONE, |all, node| all.and(node.facts()))
            }
            Self::Field(of, _)
            | Self::LicenceText(of)
            | Self::Not(of)
            | Self::Matches(of, _)
            | Self::Size(of)
            | Self::Scored(of)
            | Self::Known(of)
            | Self::Told(of)
            | Self::Readable(of) => of.facts(),
            Self::And(of)
            | Self::Or(of)
            | Self::Ordered(_, of)
            | Self::Equal(of)
            | Self::Same(of)
            | Self::In(of)
            | Self::Has(_, of) => both(of),
            Self::If(of) => of.0.facts().and(of.1.facts()).and(of.2.facts()),
            Self::Each { list, each, .. } => list.facts().and(each.facts()),
            Self::Licensed { licence, .. } => licence.facts(),
        }
    }
}
