//! The app's own names for an action.

use super::extensible_struct::extensible_struct;
use super::{CompactText, ErrorCode};

extensible_struct! {
    /// The app's own names for the action and the error; each field is absent when empty.
    Classification, sparse {
        /// The functional area, such as `security.user`.
        domain: CompactText,
        /// The action there, such as `update`.
        action: CompactText,
        /// The error: a code of the closed list. Derived from the status unless the handler sets it.
        error: ErrorCode,
    }
}
