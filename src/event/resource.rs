//! The object of an action.

use super::CompactText;
use super::extensible_struct::extensible_struct;

extensible_struct! {
    /// The object of the request. Both fields are always written, null when empty.
    Resource, always {
        /// The route's template, such as `/users/{id}`; never the raw path. Null if no route matched.
        route: CompactText,
        /// The method as the client sent it.
        method: CompactText,
    }
}
