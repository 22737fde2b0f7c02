//! What an endpoint says of itself: what it takes, what it answers, and how it fails.

use std::collections::BTreeMap;

use actix_web::http::Method;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{
    Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, SchemaType, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{
    Content, Deprecated as Deprecation, HttpMethod, Ref, RefOr, Required, Response,
    ResponseBuilder, Schema,
};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::{Endpoint, Needs, Once, Schemas, TagOf};
use crate::api::codes::{self, Code};
use crate::api::form::version::{Deprecated, Form};
use crate::api::problem::Problem;

pub const JSON: &str = "application/json";
pub const PROBLEM: &str = "application/problem+json";
/// What the document calls the way in which a token is sent.
pub const TOKEN: &str = "token";
/// And that in which a browser sends the session that it has.
pub const SESSION: &str = "session";

/// Made of what the client sent; every endpoint can answer them.
const ALWAYS: [&str; 8] = [
    "not-acceptable",
    "too-often",
    "store-unavailable",
    "store-damaged",
    "internal",
    "stopping",
    "uri-too-long",
    "headers-too-large",
];
/// What is said of `Idempotency-Key`.
const ONCE: &str = "A text of the client's own, for a day: the same change with the same key is done \
                    once, and answered as the first time.";
const WITH_TOKEN: [&str; 2] = ["unauthorized", "token-not-valid"];
const WITH_BODY: [&str; 7] = [
    "not-json",
    "body-not-read",
    "invalid-json",
    "too-large",
    "body-too-large",
    "body-too-slow",
    "body-broken",
];
const CHANGES: [&str; 2] = ["changed-meanwhile", "store-full"];

impl Endpoint {
    pub fn note(mut self, note: &'static str) -> Self {
        self.note = note;
        self
    }

    /// A part of the path that varies.
    pub fn part<P: PartialSchema>(mut self, name: &str, description: &str) -> Self {
        self.parameters.push(
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .description(Some(description))
                .schema(Some(P::schema()))
                .build(),
        );
        self.problem("bad-path")
    }

    pub fn query<Q: IntoParams>(mut self) -> Self {
        self.parameters.extend(Q::into_params(|| Some(ParameterIn::Query)));
        self.problem("invalid-query")
    }

    /// A body in JSON.
    pub fn takes<B: ToSchema>(mut self, description: &str) -> Self {
        let content = Content::new(Some(self.named::<B>()));
        self.body = Some(
            RequestBodyBuilder::new()
                .description(Some(description))
                .required(Some(Required::True))
                .content(JSON, content)
                .build(),
        );
        self.problems.extend(WITH_BODY);
        self
    }

    /// A body of bytes, of at most so many.
    pub fn takes_bytes(mut self, description: &str, most: u64) -> Self {
        let bytes = ObjectBuilder::new()
            .schema_type(SchemaType::AnyValue)
            .content_media_type("application/octet-stream");
        self.body = Some(
            RequestBodyBuilder::new()
                .description(Some(description))
                .required(Some(Required::True))
                .content("application/octet-stream", Content::new(Some(bytes)))
                .build(),
        );
        self.body_limit = Some(most);
        self.problems(&["broken-body", "too-large"])
    }

    /// `Idempotency-Key` is taken: what is asked for twice is done once.
    pub fn once(mut self, once: Once) -> Self {
        self.once = Some(once);
        self.header("Idempotency-Key", ONCE)
            .problems(&["invalid-key", "key-in-use", "key-used-otherwise", "done-already"])
            .problem("too-many-keys")
    }

    /// `If-Match` is taken: nothing is changed unless what is there has that tag.
    pub fn matched(mut self, tag_of: TagOf) -> Self {
        self.tag_of = Some(tag_of);
        self.header("If-Match", "The `ETag` of what was seen; nothing is changed if it is another.")
            .problem("changed-since")
    }

    /// It is told to all who use it.
    pub fn deprecated(mut self, deprecated: Deprecated) -> Self {
        self.deprecated = Some(deprecated);
        self
    }

    /// A larger body than elsewhere.
    pub fn of_at_most(mut self, bytes: u64) -> Self {
        self.body_limit = Some(bytes);
        self.problem("broken-body")
    }

    pub fn answers<A: ToSchema>(mut self, status: u16, description: &str) -> Self {
        let content = Content::new(Some(self.named::<A>()));
        let response = ResponseBuilder::new().description(description).content(JSON, content);
        self.answers.push((status, response.build()));
        self
    }

    /// One of two.
    pub fn answers_either<A: ToSchema, B: ToSchema>(mut self, status: u16, about: &str) -> Self {
        let either = OneOfBuilder::new().item(self.named::<A>()).item(self.named::<B>());
        let content = Content::new(Some(RefOr::T(Schema::OneOf(either.build()))));
        let response = ResponseBuilder::new().description(about).content(JSON, content);
        self.answers.push((status, response.build()));
        self
    }

    /// 201, and where it is from now on.
    pub fn makes<A: ToSchema>(self, description: &str) -> Self {
        let mut made = self.answers::<A>(201, description);
        if let Some((_, response)) = made.answers.last_mut() {
            let text = ObjectBuilder::new().schema_type(Type::String);
            let location = HeaderBuilder::new()
                .schema(text)
                .description(Some("Where what was made is."))
                .build();
            response.headers.insert("Location".to_owned(), location);
        }
        made
    }

    pub fn answers_nothing(mut self, description: &str) -> Self {
        self.answers.push((204, Response::new(description)));
        self
    }

    /// An answer that leads elsewhere.
    pub fn redirects(mut self, status: u16, description: &str) -> Self {
        let text = ObjectBuilder::new().schema_type(Type::String);
        let location = HeaderBuilder::new().schema(text).description(Some("Where to.")).build();
        let mut response = Response::new(description);
        response.headers.insert("Location".to_owned(), location);
        self.answers.push((status, response));
        self
    }

    /// The last answer can be had in another form, too.
    pub fn or_as(mut self, kind: &'static str) -> Self {
        self.others.push(kind);
        let text = ObjectBuilder::new().schema_type(Type::String);
        if let Some((_, response)) = self.answers.last_mut() {
            response.content.insert(kind.to_owned(), Content::new(Some(text)));
        }
        self
    }

    pub fn header(mut self, name: &str, description: &str) -> Self {
        self.parameters.push(
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Header)
                .required(Required::False)
                .description(Some(description))
                .schema(Some(String::schema()))
                .build(),
        );
        self
    }

    /// An answer that is no view: a text, or a document that describes itself.
    pub fn answers_text(mut self, kind: &'static str, description: &str) -> Self {
        self.others.push(kind);
        let of = if kind == JSON { Type::Object } else { Type::String };
        let text = ObjectBuilder::new().schema_type(of);
        let response =
            ResponseBuilder::new().description(description).content(kind, Content::new(Some(text)));
        self.answers.push((200, response.build()));
        self
    }

    pub fn problem(mut self, code: &'static str) -> Self {
        self.problems.push(code);
        self
    }

    pub fn problems(mut self, codes: &[&'static str]) -> Self {
        self.problems.extend(codes);
        self
    }

    /// A reference to the schema, which goes into the document with those that it refers to.
    fn named<T: ToSchema>(&mut self) -> Ref {
        self.schemas.push(|schemas| {
            schemas.push((T::name().into_owned(), T::schema()));
            T::schemas(schemas);
        });
        Ref::from_schema_name(T::name())
    }

    pub fn schemas(&self) -> Schemas {
        let mut schemas = Schemas::new();
        self.schemas.iter().for_each(|add| add(&mut schemas));
        schemas
    }

    /// The codes of everything that can go wrong here.
    pub fn codes(&self) -> impl Iterator<Item = &'static Code> {
        let changes = self.method != Method::GET && self.needs != Needs::Nothing;
        let always: &[&str] = if self.needs == Needs::Nothing { &[] } else { &ALWAYS };
        let token: &[&str] = if self.needs == Needs::Nothing { &[] } else { &WITH_TOKEN };
        let may = matches!(self.needs, Needs::Some(_) | Needs::Whole(_) | Needs::ReadOrNobody);
        let wanted: Vec<&str> = [
            always,
            token,
            if may { &["missing-right"] } else { &[] },
            if changes { &CHANGES } else { &[] },
            &self.problems,
        ]
        .concat();
        codes::CODES.iter().filter(move |code| wanted.contains(&code.code))
    }

    #[cfg(test)]
    pub fn own_problems(&self) -> &[&'static str] {
        &self.problems
    }

    /// The group that it is shown in.
    pub fn tag(&self) -> &'static str {
        self.path.split('/').nth(1).unwrap_or_default()
    }

    /// As it is for a client that begins at `base`.
    pub fn item(&self, base: &str) -> PathItem {
        let method = match self.method {
            Method::POST => HttpMethod::Post,
            Method::PUT => HttpMethod::Put,
            Method::PATCH => HttpMethod::Patch,
            Method::DELETE => HttpMethod::Delete,
            _ => HttpMethod::Get,
        };
        PathItem::new(method, self.operation(Form::usual(base)))
    }

    fn operation(&self, form: Form) -> Operation {
        let mut extensions = ExtensionsBuilder::new().add("x-garth-right", self.needs.as_str());
        let mut operation = OperationBuilder::new()
            .operation_id(Some(self.id))
            .tag(self.tag())
            .summary(Some(self.summary))
            .description(Some(self.note).filter(|note| !note.is_empty()))
            .parameters(Some(self.parameters.clone()))
            .request_body(self.body.clone());
        if matches!(self.needs, Needs::Nothing | Needs::ReadOrNobody) {
            operation = operation.security(SecurityRequirement::default());
        }
        if self.needs != Needs::Nothing {
            // Each by itself is enough.
            operation = operation.security(by(TOKEN)).security(by(SESSION));
        }
        match self.needs {
            Needs::ReadOrNobody => extensions = extensions.add("x-garth-anonymous", true),
            Needs::Some(_) => extensions = extensions.add("x-garth-limited", true),
            Needs::Nothing | Needs::Token | Needs::Whole(_) => {}
        }
        for (status, response) in &self.answers {
            let response = self.shaped(response.clone(), form);
            operation = operation.response(status.to_string(), response);
        }
        if self.is_tagged() {
            let same = "It is what the client has already, by `If-None-Match`.";
            operation = operation.parameter(if_none_match()).response("304", Response::new(same));
        }
        if self.deprecated.is_some() {
            operation = operation.deprecated(Some(Deprecation::True));
        }
        let mut by_status: BTreeMap<u16, Vec<&Code>> = BTreeMap::new();
        for code in self.codes() {
            for status in code.statuses {
                by_status.entry(*status).or_default().push(code);
            }
        }
        for (status, codes) in by_status {
            operation = operation.response(status.to_string(), problem(&codes));
        }
        operation.extensions(Some(extensions.build())).build()
    }
}

impl Endpoint {
    /// Answers in JSON to GET have a tag.
    fn is_tagged(&self) -> bool {
        let is_json = |(_, response): &(u16, Response)| response.content.contains_key(JSON);
        self.method == Method::GET
            && self.needs != Needs::Nothing
            && self.answers.iter().any(is_json)
    }

    /// With the type that is answered, and the headers that all such answers have.
    fn shaped(&self, mut response: Response, form: Form) -> Response {
        if self.needs != Needs::Nothing
            && let Some(json) = response.content.swap_remove(JSON)
        {
            response.content.insert(form.content_type().to_owned(), json);
        }
        let mut say = |name: &str, about: &str| {
            let text = ObjectBuilder::new().schema_type(Type::String);
            let header = HeaderBuilder::new().schema(text).description(Some(about)).build();
            response.headers.insert(name.to_owned(), header);
        };
        if self.is_tagged() {
            say(
                "ETag",
                "Names this answer: for `If-None-Match`, and `If-Match` where it is taken.",
            );
        }
        let is_page = |parameter: &Parameter| parameter.name == "after" && self.is_tagged();
        if self.parameters.iter().any(is_page) {
            say("Link", "Where the next page is, as `rel=\"next\"`; absent on the last one.");
        }
        if self.once.is_some() {
            say("Idempotency-Replayed", "`true` where it was done before, with the same key.");
        }
        response
    }
}

fn if_none_match() -> Parameter {
    ParameterBuilder::new()
        .name("If-None-Match")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("The `ETag` of an answer that the client has."))
        .schema(Some(String::schema()))
        .build()
}

fn by(scheme: &str) -> SecurityRequirement {
    SecurityRequirement::new(scheme, Vec::<String>::new())
}

fn problem(codes: &[&Code]) -> Response {
    let lines: Vec<String> =
        codes.iter().map(|code| format!("`{}`: {}", code.code, code.meaning)).collect();
    let content = Content::new(Some(Ref::from_schema_name(Problem::name())));
    let names: Vec<&str> = codes.iter().map(|code| code.code).collect();
    let extensions = ExtensionsBuilder::new().add("x-garth-codes", names).build();
    ResponseBuilder::new()
        .description(lines.join("\n\n"))
        .content(PROBLEM, content)
        .extensions(Some(extensions))
        .build()
}
