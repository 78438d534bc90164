//! The keys that are trusted, and the witnesses that are required.

use std::str::FromStr;

use super::{Checkpoint, NoteError, SignatureType, SignedNote, VerifierKey};
use crate::seal::SealError;
use crate::seal::error::decimal;

/// The keys of logs, the keys of witnesses, and the witnesses that must have cosigned a checkpoint (C2SP tlog-policy).
///
/// ```
/// use tower_audit::seal::TrustPolicy;
///
/// let policy: TrustPolicy = "
/// ## comments and empty lines are skipped
/// log example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k
/// quorum none
/// "
/// .parse()?;
/// assert_eq!(policy.log_keys().len(), 1);
/// # Ok::<(), tower_audit::seal::SealError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustPolicy {
    logs: Vec<VerifierKey>,
    /// Logs and witnesses.
    keys: Vec<VerifierKey>,
    members: Vec<Member>,
    /// The names of witnesses, and the prefixes of their URLs.
    urls: Vec<(String, String)>,
    /// None: `none`.
    quorum: Option<String>,
}

/// A witness or a group, by its name in the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    name: String,
    kind: MemberKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum MemberKind {
    Witness(VerifierKey),
    /// The least number of members, and the members. They stand before the group.
    Group(usize, Vec<String>),
}

impl TrustPolicy {
    /// Returns the keys of logs.
    pub fn log_keys(&self) -> &[VerifierKey] {
        &self.logs
    }

    /// Returns the witnesses: the name in the policy, the key, and the prefix of the URLs, if the policy has it.
    pub fn witnesses(&self) -> impl Iterator<Item = (&str, &VerifierKey, Option<&str>)> {
        self.members.iter().filter_map(|member| match &member.kind {
            MemberKind::Witness(key) => {
                let url = self.urls.iter().find(|(name, _)| *name == member.name);
                Some((member.name.as_str(), key, url.map(|(_, url)| url.as_str())))
            }
            MemberKind::Group(..) => None,
        })
    }

    /// Adds keys of logs, such as those for which the keys of the policy vouch. Those that are there are left out.
    pub fn add_log_keys(&mut self, keys: &[VerifierKey]) {
        for key in keys {
            if !self.keys.contains(key) {
                self.keys.push(key.clone());
                self.logs.push(key.clone());
            }
        }
    }

    /// Returns the checkpoint of a note that a log of the policy has signed, and witnesses as its quorum says.
    ///
    /// # Errors
    /// Those of [`Checkpoint::open`], or too few witnesses have cosigned it.
    pub fn open(&self, note: &SignedNote) -> Result<Checkpoint, NoteError> {
        let verified = note.verify(&self.keys)?;
        let checkpoint = Checkpoint::open(note, &self.logs)?;
        let mut met: Vec<&str> = Vec::new();
        for Member { name, kind } in &self.members {
            let is_met = match kind {
                MemberKind::Witness(key) => verified.iter().any(|verified| verified.key == key),
                MemberKind::Group(least, members) => {
                    members.iter().filter(|member| met.contains(&member.as_str())).count() >= *least
                }
            };
            if is_met {
                met.push(name);
            }
        }
        match &self.quorum {
            Some(quorum) if !met.contains(&quorum.as_str()) => Err(NoteError::QuorumNotMet {
                quorum: quorum.clone(),
                met: met.into_iter().map(str::to_owned).collect(),
            }),
            _ => Ok(checkpoint),
        }
    }

    fn read_line(&mut self, line: &str, quorum: &mut Option<String>) -> Result<(), SealError> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words[..] {
            ["log", key] | ["log", key, _] => {
                let key = self.new_key(key, SignatureType::Ed25519, "0x01 (Ed25519)")?;
                self.logs.push(key);
                Ok(())
            }
            ["witness", name, key, ref url @ ..] if url.len() <= 1 => {
                let key = self.new_key(key, SignatureType::CosignatureV1, "0x04 (cosignature/v1)")?;
                self.define(name, MemberKind::Witness(key))?;
                self.urls.extend(url.iter().map(|url| (name.to_owned(), (*url).to_owned())));
                Ok(())
            }
            ["group", name, least, ref members @ ..] if !members.is_empty() => {
                let count = members.len();
                let least = match least {
                    "all" => count,
                    "any" => 1,
                    number => decimal(number).and_then(|least| usize::try_from(least).ok()).unwrap_or(0),
                };
                if !(1..=count).contains(&least) {
                    return Err(SealError::text(
                        "threshold",
                        words[2],
                        "`all`, `any`, or a number of the group's members",
                    ));
                }
                for (number, member) in members.iter().enumerate() {
                    self.member(member)?;
                    if members[..number].contains(member) {
                        return Err(SealError::text("group", line, "each member once"));
                    }
                }
                self.define(name, MemberKind::Group(least, members.iter().map(|member| (*member).to_owned()).collect()))
            }
            ["quorum", name] if quorum.is_none() => {
                if name != NONE {
                    self.member(name)?;
                }
                *quorum = Some(name.to_owned());
                Ok(())
            }
            _ => Err(SealError::text(
                "line of a policy",
                line,
                "`log VKEY`, `witness NAME VKEY`, `group NAME all|any|NUMBER MEMBER…`, or one `quorum NAME|none`",
            )),
        }
    }

    fn new_key(&mut self, text: &str, of_type: SignatureType, shown: &str) -> Result<VerifierKey, SealError> {
        let key: VerifierKey = text.parse()?;
        if key.signature_type() != of_type {
            return Err(SealError::text("key for this line", text, &format!("one of type {shown}")));
        }
        // A second name for a witness would count it twice.
        if self.keys.iter().any(|known| known.public_key() == key.public_key()) {
            return Err(SealError::text("new key", text, "each key once"));
        }
        self.keys.push(key.clone());
        Ok(key)
    }

    fn define(&mut self, name: &str, kind: MemberKind) -> Result<(), SealError> {
        if name == NONE || self.members.iter().any(|known| known.name == name) {
            return Err(SealError::text("new name", name, "one that stands for nothing yet"));
        }
        self.members.push(Member { name: name.to_owned(), kind });
        Ok(())
    }

    fn member(&self, name: &str) -> Result<(), SealError> {
        match self.members.iter().any(|known| known.name == name) {
            true => Ok(()),
            false => Err(SealError::text("known name", name, "a witness or a group of a line above")),
        }
    }
}

/// Reads a policy file.
impl FromStr for TrustPolicy {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Self, SealError> {
        let mut policy =
            Self { logs: Vec::new(), keys: Vec::new(), members: Vec::new(), urls: Vec::new(), quorum: None };
        let mut quorum = None;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                policy.read_line(line, &mut quorum).map_err(|error| SealError::at_line(number + 1, error))?;
            }
        }
        if policy.logs.is_empty() {
            return Err(SealError::new("a policy without a log: expected a line `log VKEY`"));
        }
        let quorum = quorum
            .ok_or_else(|| SealError::new("a policy without a quorum: expected `quorum NAME` or `quorum none`"))?;
        policy.quorum = Some(quorum).filter(|quorum| quorum != NONE);
        Ok(policy)
    }
}

const NONE: &str = "none";

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;
    use crate::seal::{Signer, TreeEdge};

    struct Witness(SigningKey, VerifierKey);

    fn witness(number: u8) -> Witness {
        let key = SigningKey::from_bytes(&[number; 32]);
        let public = VerifierKey::new(format!("w{number}.example"), SignatureType::CosignatureV1, key.verifying_key());
        Witness(key, public)
    }

    /// A checkpoint with cosignatures of these witnesses.
    fn cosigned(by: &[&Witness]) -> SignedNote {
        let log = Signer::from_seed("example.com/audit", [7; 32]).unwrap();
        let checkpoint = Checkpoint::new("example.com/audit", 0, TreeEdge::new().root()).unwrap();
        let mut text = SignedNote::sign(checkpoint.to_string(), &[&log]).unwrap().to_string();
        for Witness(key, public) in by {
            let time = 1_780_000_000_u64;
            let signature = key.sign(format!("cosignature/v1\ntime {time}\n{checkpoint}").as_bytes()).to_bytes();
            let bytes = [&public.id().to_be_bytes()[..], &time.to_be_bytes(), &signature].concat();
            text += &format!("— {} {}\n", public.name(), STANDARD.encode(bytes));
        }
        text.parse().unwrap()
    }

    fn policy(lines: &str) -> Result<TrustPolicy, SealError> {
        let log = Signer::from_seed("example.com/audit", [7; 32]).unwrap().verifier_key();
        let [a, b, c] = [1, 2, 3].map(|number| witness(number).1);
        format!("# trust\nlog {log} https://example.com/log\n\nwitness a {a}\nwitness b {b} https://b.example\nwitness c {c}\n{lines}\n").parse()
    }

    #[test]
    fn a_quorum_is_met_by_enough_witnesses() {
        let [a, b, c] = [1, 2, 3].map(witness);
        let cases: [(&str, &[&Witness], bool); 12] = [
            ("quorum none", &[], true),
            ("quorum a", &[&a], true),
            ("quorum a", &[&b, &c], false),
            ("group g any a b\nquorum g", &[&b], true),
            ("group g any a b\nquorum g", &[&c], false),
            ("group g all a b\nquorum g", &[&a], false),
            ("group g all a b\nquorum g", &[&a, &b], true),
            ("group g 2 a b c\nquorum g", &[&a, &c], true),
            ("group g 2 a b c\nquorum g", &[&c, &c], false),
            ("group g any a b\ngroup h all g c\nquorum h", &[&a, &c], true),
            ("group g any a b\ngroup h all g c\nquorum h", &[&a, &b], false),
            ("group g any a b\ngroup h all g c\nquorum h", &[], false),
        ];
        for (lines, by, is_met) in cases {
            let opened = policy(lines).unwrap().open(&cosigned(by));
            assert_eq!(opened.is_ok(), is_met, "{lines}: {opened:?}");
            if let Err(error) = opened {
                assert!(matches!(error, NoteError::QuorumNotMet { .. }), "{error}");
            }
        }
        let forged = cosigned(&[&a]).to_string().replace("w1.example", "w2.example");
        assert!(policy("quorum b").unwrap().open(&forged.parse().unwrap()).is_err(), "the cosignature of another");
    }

    #[test]
    fn a_policy_that_says_nothing_clear_is_refused_with_its_line() {
        let twice = witness(1).1;
        let log = Signer::from_seed("example.com/x", [1; 32]).unwrap().verifier_key();
        for (lines, expected) in [
            ("", "without a quorum"),
            ("quorum d", "line 7"),
            ("quorum a\nquorum b", "line 8"),
            ("group g 3 a b\nquorum g", "threshold"),
            ("group g 0 a b\nquorum g", "threshold"),
            ("group g any\nquorum g", "line of a policy"),
            ("group g any a a\nquorum g", "each member once"),
            ("group g any h\ngroup h any a\nquorum g", "a line above"),
            ("group a any b\nquorum a", "stands for nothing yet"),
            ("group none any b\nquorum none", "stands for nothing yet"),
            (&format!("witness d {twice}\nquorum d"), "each key once"),
            (&format!("witness d {log}\nquorum d"), "type 0x04"),
            ("anything\nquorum none", "line of a policy"),
        ] {
            let error = policy(lines).unwrap_err().to_string();
            assert!(error.contains(expected), "{lines}: {error}");
        }
        assert!("quorum none".parse::<TrustPolicy>().unwrap_err().to_string().contains("without a log"));
    }
}
