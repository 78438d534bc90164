//! The methods of a rule, as a bit mask, and of all rules, as a table.

use std::fmt;

use http::Method;

use crate::event::excerpt;

/// The methods a rule names, as they were given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Methods {
    Any,
    Unsafe,
    Listed(Vec<String>),
}

/// The methods of a rule, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MethodSet {
    mask: u16,
    /// Methods that have no bit of their own.
    others: Box<[Box<str>]>,
}

/// A request's method, ready to be compared with.
#[derive(Debug, Clone, Copy)]
pub(super) struct MethodClass<'m> {
    mask: u16,
    text: &'m str,
}

/// The rules that a method opens, for each that has a bit of its own: a request that no rule's methods name is told apart
/// by one look, however many rules there are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RulesByMethod([u64; METHODS.len()]);

const METHODS: [&str; 9] = ["GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "PATCH", "DELETE", "CONNECT"];
/// The first four of them.
const SAFE_MASK: u16 = 0b1111;
/// Every other spelling: `post`, `PURGE`. Never safe: methods are case-sensitive (RFC 9110, section 9.1).
const OTHER_BIT: u16 = 1 << METHODS.len();

impl Methods {
    /// Makes them ready.
    ///
    /// # Errors
    /// The place of the wrong method, if it is one of several, and what is wrong with it.
    pub(super) fn compile(&self) -> Result<MethodSet, (Option<usize>, String)> {
        let names = match self {
            Self::Any => return Ok(MethodSet { mask: u16::MAX, others: Box::default() }),
            Self::Unsafe => return Ok(MethodSet { mask: !SAFE_MASK, others: Box::default() }),
            Self::Listed(names) => names,
        };
        if names.is_empty() {
            return Err((None, "the list is empty: expected at least one method, such as \"POST\"".to_owned()));
        }
        let mut mask = 0;
        let mut others = Vec::new();
        for (item, name) in names.iter().enumerate() {
            if Method::from_bytes(name.as_bytes()).is_err() {
                let problem = format!("{:?} is no HTTP method: expected a word such as \"POST\"", excerpt(name));
                return Err((Some(item), problem));
            }
            match bit(name) {
                Some(bit) => mask |= bit,
                None => others.push(name.as_str().into()),
            }
        }
        // Routers run the handler of GET for HEAD, so that whoever names one of them means both.
        if mask & 1 != 0 {
            mask |= 1 << 1;
        }
        Ok(MethodSet { mask, others: others.into() })
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any method"),
            Self::Unsafe => f.write_str("unsafe methods"),
            Self::Listed(names) => f.write_str(&names.join(",")),
        }
    }
}

impl MethodSet {
    pub(super) fn contains(&self, class: MethodClass<'_>) -> bool {
        self.mask & class.mask != 0
            || (class.mask & OTHER_BIT != 0 && self.others.iter().any(|other| other.eq_ignore_ascii_case(class.text)))
    }
}

impl RulesByMethod {
    /// Of rules by their indices.
    pub(super) fn of<'a>(rules: impl Iterator<Item = (usize, &'a MethodSet)>) -> Self {
        let mut opened = Self::default();
        for (index, methods) in rules {
            for (at, rules) in opened.0.iter_mut().enumerate() {
                *rules |= u64::from(methods.mask >> at & 1) << index;
            }
        }
        opened
    }

    /// The rules that this one opens; none if it has no bit of its own.
    pub(super) fn get(&self, class: MethodClass<'_>) -> Option<u64> {
        self.0.get(class.mask.trailing_zeros() as usize).filter(|_| class.mask & OTHER_BIT == 0).copied()
    }
}

impl<'m> MethodClass<'m> {
    pub(super) fn of(method: &'m Method) -> Self {
        let mask = match method {
            &Method::GET => 1,
            &Method::HEAD => 1 << 1,
            &Method::OPTIONS => 1 << 2,
            &Method::TRACE => 1 << 3,
            &Method::POST => 1 << 4,
            &Method::PUT => 1 << 5,
            &Method::PATCH => 1 << 6,
            &Method::DELETE => 1 << 7,
            &Method::CONNECT => 1 << 8,
            other => OTHER_BIT | bit(other.as_str()).unwrap_or(0),
        };
        Self { mask, text: method.as_str() }
    }
}

/// The bit of a method that has one, in whatever case.
fn bit(name: &str) -> Option<u16> {
    METHODS.iter().position(|known| known.eq_ignore_ascii_case(name)).map(|at| 1 << at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(methods: &Methods, method: &str) -> bool {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        methods.compile().expect("methods").contains(MethodClass::of(&method))
    }

    fn listed(names: &[&str]) -> Methods {
        Methods::Listed(names.iter().map(|&name| name.into()).collect())
    }

    #[test]
    fn bits_and_names_agree() {
        for name in METHODS {
            for other in METHODS {
                let covers = name == other || (name, other) == ("GET", "HEAD");
                assert_eq!(has(&listed(&[name]), other), covers, "{name} {other}");
            }
        }
    }

    #[test]
    fn the_table_says_what_the_rules_say() {
        let mut methods = vec![Methods::Any, Methods::Unsafe, listed(&["PURGE"]), listed(&["post", "DELETE"])];
        methods.extend(METHODS.map(|name| listed(&[name])));
        let sets: Vec<MethodSet> = methods.iter().map(|methods| methods.compile().expect("methods")).collect();
        let opened_by = RulesByMethod::of((50..).zip(&sets));
        for name in METHODS.into_iter().chain(["purge", "post", "X"]) {
            let method = Method::from_bytes(name.as_bytes()).expect("a method");
            let class = MethodClass::of(&method);
            let opened = (50..).zip(&sets).fold(0, |opened, (at, set)| opened | u64::from(set.contains(class)) << at);
            assert_eq!(opened_by.get(class), METHODS.contains(&name).then_some(opened), "{name}");
        }
    }

    #[test]
    fn letter_case_dodges_nothing() {
        for (rule, method) in [
            ("POST", "post"),
            ("POST", "PoSt"),
            ("post", "POST"),
            ("GET", "head"),
            ("PURGE", "purge"),
            ("query", "QUERY"),
        ] {
            assert!(has(&listed(&[rule]), method), "{rule} {method}");
        }
        assert!(!has(&listed(&["POST"]), "POSTS"));
        assert!(!has(&listed(&["POST"]), "purge"));
    }

    #[test]
    fn only_the_four_in_upper_case_are_safe() {
        for safe in ["GET", "HEAD", "OPTIONS", "TRACE"] {
            assert!(!has(&Methods::Unsafe, safe), "{safe}");
            assert!(has(&Methods::Unsafe, &safe.to_lowercase()), "{safe}");
            assert!(has(&Methods::Any, safe), "{safe}");
        }
        for method in ["POST", "PUT", "PATCH", "DELETE", "CONNECT", "QUERY", "PROPFIND", "gEt", &"X".repeat(40)] {
            assert!(has(&Methods::Unsafe, method), "{method}");
            assert!(has(&Methods::Any, method), "{method}");
        }
    }

    #[test]
    fn what_is_no_method() {
        assert_eq!(listed(&[]).compile().map_err(|error| error.0), Err(None));
        for bad in ["", "PO ST", "POST,PUT", "é"] {
            assert_eq!(listed(&["PUT", bad]).compile().map_err(|error| error.0), Err(Some(1)), "{bad}");
        }
    }
}
