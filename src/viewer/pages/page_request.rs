//! The request of a page.

use crate::api::read_access::Admitted;
use crate::viewer::links::Links;

/// An admitted request, and the links from its page to others.
#[derive(Debug)]
pub(in crate::viewer) struct PageRequest {
    pub(in crate::viewer) admitted: Admitted,
    pub(in crate::viewer) links: Links,
}
