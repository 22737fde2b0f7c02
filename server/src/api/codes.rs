//! Every code that a problem of the API can have. A code is stable: what it means does not change,
//! and none is taken away while its version of the API is there.

/// One code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    pub code: &'static str,
    /// Most have one; what an upstream did wrong is told by the status, too.
    pub statuses: &'static [u16],
    /// For a person: what it means, in one sentence.
    pub meaning: &'static str,
}

const fn code(code: &'static str, statuses: &'static [u16], meaning: &'static str) -> Code {
    Code { code, statuses, meaning }
}

/// By name.
pub const CODES: &[Code] = &[
    code("allowed-already", &[409], "What is asked for is allowed: there is nothing to approve."),
    code("bad-source", &[400], "The name of the source of advisories cannot be used."),
    code("body-not-read", &[400, 408, 413], "The body broke off, or could not be read."),
    code("broken-advisories", &[422], "What was sent are no advisories; nothing was imported."),
    code("broken-body", &[400], "What was sent broke off."),
    code("busy", &[503], "Others ask for the same kind of long work; ask again in a moment."),
    code(
        "changed-meanwhile",
        &[409],
        "Somebody else changed it at the same moment; look and ask again.",
    ),
    code("changed-since", &[412], "What is there is not what `If-Match` names; look at it again."),
    code("closed-already", &[409], "The request was answered before."),
    code(
        "closure-incomplete",
        &[422],
        "Not all that is needed could be had, so nothing was asked for.",
    ),
    code(
        "document-unavailable",
        &[503],
        "What the registry says of the package cannot be read now.",
    ),
    code(
        "done-already",
        &[409],
        "The key was used before, and what was answered then is not kept.",
    ),
    code("exchanged-already", &[409], "What was sent was exchanged before."),
    code(
        "foreign-origin",
        &[403],
        "A change by the session of a browser did not come from a page of this garth.",
    ),
    code(
        "import-failed",
        &[500],
        "The import failed inside garth; its log says why. Nothing changed.",
    ),
    code("internal", &[500], "Something failed inside garth; its log says why."),
    code(
        "invalid-access",
        &[400],
        "A field of a token or a team cannot be used; `faults` says which.",
    ),
    code(
        "invalid-candidate",
        &[400],
        "The policies that are to be tried were not sent as they must be.",
    ),
    code("invalid-duration", &[400], "A duration is written as 30d, 2w or 12h."),
    code("invalid-exchange", &[400], "An exchange of this kind is not known here."),
    code("invalid-json", &[400], "The body is no JSON, or not of the shape that is described."),
    code(
        "invalid-key",
        &[400],
        "An Idempotency-Key is 1 to 255 printable characters, without spaces.",
    ),
    code(
        "invalid-package",
        &[400],
        "A package or a version is not written as its ecosystem writes it.",
    ),
    code("invalid-policies", &[400], "The policies have faults; `faults` has each with its place."),
    code(
        "invalid-query",
        &[400],
        "The query has a field that is unknown, or one that cannot be read.",
    ),
    code("invalid-range", &[400], "The range of versions cannot be read."),
    code("invalid-reason", &[400], "The reason is too long, or has characters that none has."),
    code("invalid-request", &[400], "The answer to a request is not complete."),
    code("invalid-right", &[400], "A right is not written as one, or cannot be limited so."),
    code("invalid-rule", &[400], "The rule has faults; `faults` says in which fields."),
    code(
        "invalid-since",
        &[400],
        "A time is a duration such as 30d, or written as 2030-01-01T12:00:00Z.",
    ),
    code("invalid-team", &[400], "A team is written as unit/team."),
    code("invalid-webhook", &[400], "A field of a webhook cannot be used; `faults` says which."),
    code("issuer-unavailable", &[503], "The keys of the issuer of what was sent cannot be had."),
    code("key-in-use", &[409], "The same is being done for this key at this moment; ask again."),
    code(
        "key-used-otherwise",
        &[422],
        "The key was used for something else; a new change takes a new key.",
    ),
    code(
        "log-not-proved",
        &[503],
        "The audit log cannot be read or signed now, so nothing is proved.",
    ),
    code(
        "login-not-begun",
        &[400],
        "This browser did not begin the login that came back, or too long ago.",
    ),
    code("login-not-taken", &[401], "What came back from the provider proves nothing."),
    code("login-refused", &[403], "The provider did not let the person in."),
    code("made-by-file", &[409], "The rule stands in a policy file, and is changed there."),
    code("missing-package", &[400], "The query has to say which package is meant."),
    code(
        "missing-right",
        &[403],
        "The token that was sent does not have the right that this takes.",
    ),
    code("name-taken", &[409], "There is a rule of this name already, and it is another one."),
    code("name-with-token", &[400], "A token says who asks, so a name of one's own is not taken."),
    code(
        "needs-waiver",
        &[409],
        "A rule stands against it that only a waiver lifts; `standing` names it.",
    ),
    code("no-login", &[409], "The token that was sent came of no login."),
    code("no-randomness", &[503], "The machine gave no random numbers, so no token was made."),
    code("no-requests", &[400], "No request was named."),
    code("no-such-advisory", &[404], "There is no such advisory."),
    code("no-such-delivery", &[404], "There is no such delivery."),
    code("no-such-path", &[404], "The API has no such path."),
    code("no-such-provider", &[404], "There is no such provider."),
    code("no-such-registry", &[404], "There is no such registry."),
    code("no-such-request", &[404], "There is no such request."),
    code(
        "no-such-revision",
        &[404],
        "No rules of this revision were ever in force, or they are kept no more.",
    ),
    code("no-such-right", &[400], "There is no such right."),
    code("no-such-role", &[404], "There is no such role."),
    code("no-such-rule", &[404], "There is no such rule."),
    code("no-such-team", &[404], "There is no such team."),
    code("no-such-token", &[404], "There is no such token."),
    code("no-such-user", &[404], "There is nobody of this name."),
    code("no-such-webhook", &[404], "There is no such webhook."),
    code(
        "not-acceptable",
        &[406],
        "`Accept` names nothing that is answered; the detail lists what there is.",
    ),
    code("not-hashed", &[503], "The password could not be hashed. Nothing changed."),
    code("not-json", &[415], "The body has to be sent as application/json."),
    code("not-meant", &[403], "What was sent is genuine, and of nobody who is meant here."),
    code("not-own", &[409], "The name is not published here."),
    code("not-served-yet", &[501], "This garth cannot do it for packages of this ecosystem yet."),
    code("out-of-range", &[400], "The log has no such entry, or was never of this size."),
    code("own-approval", &[403], "Nobody approves what they asked for themselves."),
    code("provider-unavailable", &[503], "The provider at which people log in cannot be asked."),
    code("published-here", &[409], "It was published here, and what is published here stays."),
    code(
        "rules-unavailable",
        &[503],
        "The rules cannot be read at the moment, so nothing is decided.",
    ),
    code("store-damaged", &[503], "What is stored cannot be read; the log says where."),
    code("store-full", &[507], "There is no room to store it. Nothing changed."),
    code("store-unavailable", &[503], "The store does not answer. Nothing changed."),
    code("taken", &[409], "The name is taken, or still in use."),
    code("token-not-taken", &[401], "What was sent proves nothing here, or was exchanged before."),
    code(
        "token-not-valid",
        &[401],
        "The token that was sent was revoked, replaced, or has expired.",
    ),
    code("too-large", &[413], "What was sent is larger than what is taken here."),
    code("too-many", &[400], "More were named than are answered at once."),
    code(
        "too-many-keys",
        &[429],
        "So many keys are remembered that there is no room for one more.",
    ),
    code(
        "too-many-logins",
        &[429],
        "Too many logins from there, or at once; `Retry-After` says when to come again.",
    ),
    code("too-many-packages", &[400], "The closure has more packages than are worked out."),
    code(
        "too-many-requests",
        &[429],
        "There are too many open requests; somebody has to answer some first.",
    ),
    code("too-many-streams", &[429], "This token follows events on as many streams as it may."),
    code("too-many-versions", &[400], "More versions were sent than are decided at once."),
    code(
        "too-often",
        &[429],
        "This token, or this address without one, asks too often; `Retry-After` says when to ask again.",
    ),
    code("trial-failed", &[500], "The trial failed inside garth; its log says why."),
    code("two-versions", &[400], "A version was given twice."),
    code("unauthorized", &[401], "No token was sent, or one that this garth does not know."),
    code("unknown-action", &[400], "The log has no entries of this kind."),
    code("unknown-cursor", &[400], "There is no such place in the log."),
    code("unknown-kind", &[400], "There is no such kind of event."),
    code("unknown-package", &[404], "The upstream has no such package, or none of these versions."),
    code("unreadable-version", &[400], "The version, range or tag cannot be read."),
    code(
        "upstream-failed",
        &[404, 429, 500, 502, 503, 504, 507],
        "The upstream failed, and nothing is held here in its place.",
    ),
    code("weak-password", &[400], "The password is too short, or easily guessed."),
    code("what-is-asked-for", &[400], "A request names a package or a lockfile, and not both."),
    code("which-registry", &[400], "Several registries can be meant; say which."),
    code("wrong-login", &[401], "This name and this password do not belong together here."),
    code(
        "wrong-method",
        &[405],
        "The path is there, but not for this method; `Allow` says for which.",
    ),
    code(
        "wrong-state",
        &[409],
        "As it stands now this cannot be done; `detail` says how it stands.",
    ),
];

pub fn find(code: &str) -> Option<&'static Code> {
    let at = CODES.binary_search_by(|known| known.code.cmp(code)).ok()?;
    CODES.get(at)
}
