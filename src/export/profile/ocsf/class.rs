//! The class of an event, and its activity.

use super::account_change;
use crate::event::AuditEvent;
use crate::export::profile::activity::{Activity, is_authentication};

/// A class of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// 6003: every event that is none of the others.
    ApiActivity,
    /// 3002: a sign-in or a sign-out.
    Authentication,
    /// 3001: a change of an account.
    AccountChange,
}

impl Class {
    pub(super) fn of(event: &AuditEvent) -> Self {
        if is_authentication(event) {
            Self::Authentication
        } else if account_change::is_account_change(event) {
            Self::AccountChange
        } else {
            Self::ApiActivity
        }
    }

    pub(super) fn uid(self) -> u32 {
        match self {
            Self::ApiActivity => 6003,
            Self::Authentication => 3002,
            Self::AccountChange => 3001,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ApiActivity => "API Activity",
            Self::Authentication => "Authentication",
            Self::AccountChange => "Account Change",
        }
    }

    pub(super) fn category(self) -> u32 {
        self.uid() / 1000
    }

    pub(super) fn category_name(self) -> &'static str {
        match self {
            Self::ApiActivity => "Application Activity",
            Self::Authentication | Self::AccountChange => "Identity & Access Management",
        }
    }

    /// Returns the activity: its number in the class, and its name.
    pub(super) fn activity(self, event: &AuditEvent) -> (u32, &str) {
        let other = (99, event.classification.action.as_deref().unwrap_or(event.event_type.as_str()));
        match (self, Activity::of(event)) {
            (Self::Authentication, Activity::Logout) => (2, "Logoff"),
            (Self::Authentication, _) => (1, "Logon"),
            (Self::AccountChange, _) => account_change::activity(event).unwrap_or(other),
            (Self::ApiActivity, Activity::Create) => (1, "Create"),
            (Self::ApiActivity, Activity::Read) => (2, "Read"),
            (Self::ApiActivity, Activity::Update) => (3, "Update"),
            (Self::ApiActivity, Activity::Delete) => (4, "Delete"),
            (Self::ApiActivity, _) => other,
        }
    }
}
