//! Objects inside an event whose fields may all be missing, and which keep fields they do not know.
//!
//! A field of the format that JSON has twice is an error: a filter might match the one value and a reader show the other.
//! Of a further name that comes twice, the last value counts, as in PostgreSQL's `jsonb`.

/// Declares a struct of optional fields with an `extra` map for the fields of later versions.
///
/// `always` writes every field, null when empty; `sparse` leaves empty fields out. A second block may be of the other kind.
macro_rules! extensible_struct {
    ($(#[$meta:meta])* $name:ident,
        $($mode:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })+
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq)]
        #[non_exhaustive]
        pub struct $name {
            $($($(#[$field_meta])* pub $field: Option<$type>,)*)+
            /// Fields of a later version of the format, kept as they were read.
            pub extra: crate::event::Details,
        }

        impl $name {
            /// The names that the format has for itself in this object.
            pub(super) const NAMES: &'static [&'static str] = &[$($(stringify!($field),)*)+];

            /// Returns true if every field is absent.
            pub fn is_empty(&self) -> bool {
                $($(self.$field.is_none() &&)*)+ self.extra.is_empty()
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap as _;
                let mut map = serializer.serialize_map(None)?;
                $(extensible_struct!(@entries $mode map self $($field)*);)+
                for (key, value) in &*crate::event::details::apart(&self.extra, Self::NAMES) {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }

        #[cfg(any(unix, feature = "sqlite", feature = "postgres", feature = "mysql", feature = "nats"))]
        impl crate::event::encoding::WriteJson for $name {
            fn write_json(&self, to: &mut Vec<u8>) -> serde_json::Result<()> {
                to.push(b'{');
                $(extensible_struct!(@write $mode to self $($field)*);)+
                crate::event::encoding::write_extra(to, &self.extra, Self::NAMES)?;
                to.push(b'}');
                Ok(())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl<'de> serde::de::Visitor<'de> for Visitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<$name, A::Error> {
                        #[derive(Default)]
                        struct Seen {
                            $($($field: bool,)*)+
                        }
                        let mut seen = Seen::default();
                        let mut this = $name::default();
                        while let Some(crate::event::BorrowedText(key)) = map.next_key()? {
                            match &*key {
                                $($(stringify!($field) => {
                                    crate::event::extensible_struct::once(&mut seen.$field, stringify!($field))?;
                                    this.$field = map.next_value()?;
                                })*)+
                                _ => {
                                    let value = map.next_value()?;
                                    this.extra.insert(key.into_owned(), value);
                                }
                            }
                        }
                        Ok(this)
                    }
                }
                deserializer.deserialize_map(Visitor)
            }
        }
    };
    (@entries $mode:ident $map:ident $this:ident $($field:ident)*) => {
        $(extensible_struct!(@entry $mode $map $this $field);)*
    };
    (@entry always $map:ident $this:ident $field:ident) => {
        $map.serialize_entry(stringify!($field), &$this.$field)?;
    };
    (@entry sparse $map:ident $this:ident $field:ident) => {
        if let Some(value) = &$this.$field {
            $map.serialize_entry(stringify!($field), value)?;
        }
    };
    (@write $mode:ident $to:ident $this:ident $($field:ident)*) => {
        $(extensible_struct!(@write_one $mode $to $this $field);)*
    };
    (@write_one always $to:ident $this:ident $field:ident) => {
        crate::event::encoding::write_entry($to, concat!(",\"", stringify!($field), "\":"), &$this.$field)?;
    };
    (@write_one sparse $to:ident $this:ident $field:ident) => {
        if let Some(value) = &$this.$field {
            crate::event::encoding::write_entry($to, concat!(",\"", stringify!($field), "\":"), value)?;
        }
    };
}

pub(super) use extensible_struct;

/// Rejects a field that came before: readers that take the first and readers that take the last would disagree.
pub(super) fn once<E: serde::de::Error>(seen: &mut bool, field: &'static str) -> Result<(), E> {
    if std::mem::replace(seen, true) { Err(E::duplicate_field(field)) } else { Ok(()) }
}
