//! The form that answers of all endpoints share: which version of the API they are of, whether they
//! are what the client has already, and pages. What each rule is stands in the modules.

pub mod etag;
pub mod once;
pub mod page;
pub mod version;
