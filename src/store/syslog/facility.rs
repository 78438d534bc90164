//! The facility of a message: the part of the system that it is about.

use std::fmt;

use super::error::config;
use crate::event::excerpt;
use crate::store::StoreError;

macro_rules! facilities {
    ($($(#[$doc:meta])* $variant:ident = $code:literal $name:literal;)*) => {
        /// The facility of a message (RFC 5424, table 1): the part of the system that it is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        #[expect(clippy::exhaustive_enums, reason = "the protocol has these 24")]
        pub enum Facility {
            $($(#[$doc])* $variant = $code,)*
        }

        impl Facility {
            /// All facilities, by their codes.
            pub const ALL: [Self; 24] = [$(Self::$variant,)*];

            /// Returns the name, as configurations of collectors have it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

facilities! {
    /// The kernel.
    Kern = 0 "kern";
    /// Programs of users.
    User = 1 "user";
    /// Mail.
    Mail = 2 "mail";
    /// System services.
    Daemon = 3 "daemon";
    /// Security messages that anyone may read.
    Auth = 4 "auth";
    /// The collector's own.
    Syslog = 5 "syslog";
    /// Printers.
    Lpr = 6 "lpr";
    /// Network news.
    News = 7 "news";
    /// UUCP.
    Uucp = 8 "uucp";
    /// Scheduled jobs.
    Cron = 9 "cron";
    /// Security messages that few may read.
    Authpriv = 10 "authpriv";
    /// FTP.
    Ftp = 11 "ftp";
    /// NTP.
    Ntp = 12 "ntp";
    /// The log audit of RFC 5424.
    Audit = 13 "audit";
    /// The log alert of RFC 5424.
    Alert = 14 "alert";
    /// Clocks.
    Clock = 15 "clock";
    /// For the site's own use. The default.
    #[default]
    Local0 = 16 "local0";
    /// For the site's own use.
    Local1 = 17 "local1";
    /// For the site's own use.
    Local2 = 18 "local2";
    /// For the site's own use.
    Local3 = 19 "local3";
    /// For the site's own use.
    Local4 = 20 "local4";
    /// For the site's own use.
    Local5 = 21 "local5";
    /// For the site's own use.
    Local6 = 22 "local6";
    /// For the site's own use.
    Local7 = 23 "local7";
}

impl Facility {
    /// Returns the facility of this name.
    ///
    /// # Errors
    /// If there is none of this name; the error lists the names.
    pub fn from_name(name: &str) -> Result<Self, StoreError> {
        Self::ALL.into_iter().find(|facility| facility.as_str() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            config(format!("{:?} is no facility: expected one of {names}", excerpt(name)))
        })
    }
}

impl fmt::Display for Facility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_agree() {
        for (code, facility) in Facility::ALL.into_iter().enumerate() {
            assert_eq!(facility as usize, code);
            assert_eq!(Facility::from_name(facility.as_str()).unwrap(), facility);
        }
        let error = Facility::from_name("local8").unwrap_err().to_string();
        assert!(error.contains("\"local8\"") && error.contains("local7"), "{error}");
    }
}
