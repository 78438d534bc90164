//! The app's own names for an action.

use super::extensible_struct::extensible_struct;
use super::{CompactText, ErrorCode};

extensible_struct! {
    /// How the app names what was done, and how it went wrong; each field is absent when empty.
    Classification, sparse {
        /// The functional area, such as `security.user`.
        domain: CompactText,
        /// What was done there, such as `update`.
        action: CompactText,
        /// How it went wrong: a code of the closed list. Derived from the status unless the handler says otherwise.
        error: ErrorCode,
    }
}
