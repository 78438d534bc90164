//! Options of the commands of the seal.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::ReportFormat;

#[derive(ClapArgs)]
pub(crate) struct KeygenArgs {
    /// The file of the private key. FILE.checkpoint is made beside it, the memory of the sealer; not for a retention key
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// The origin of the log, which no other log has, such as example.com/audit
    #[arg(long, value_name = "NAME", required_unless_present = "continues")]
    pub(crate) origin: Option<String>,

    /// Make the successor of the key in this file, which signs a statement of it, and record that in the log (--url)
    #[arg(long, value_name = "OLD", conflicts_with = "retention")]
    pub(crate) continues: Option<PathBuf>,

    /// With --continues and a new --origin: go on from a log that was restored from an older copy of its own
    #[arg(long, requires_all = ["continues", "origin"])]
    pub(crate) restored: bool,

    /// Make the key that signs purges and erasures of the log, which neither its writers nor its sealer should have
    #[arg(long)]
    pub(crate) retention: bool,
}

#[derive(ClapArgs)]
pub(crate) struct SealArgs {
    /// The file of the private key, from keygen
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,

    /// Seal what is there, and end
    #[arg(long)]
    pub(crate) once: bool,
}

/// The keys that are trusted.
#[derive(ClapArgs)]
pub(crate) struct TrustArgs {
    /// A public key of the log, as keygen prints it; may be given several times
    #[arg(long = "vkey", value_name = "VKEY", required_unless_present = "policy")]
    pub(crate) keys: Vec<String>,

    /// A file with the public keys of the log and of witnesses, and the witnesses that must have cosigned what was kept or is proven (C2SP
    /// tlog-policy)
    #[arg(long, value_name = "FILE", conflicts_with = "keys")]
    pub(crate) policy: Option<PathBuf>,
}

#[derive(ClapArgs)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) trust: TrustArgs,

    /// The public retention key of the log, as keygen --retention prints it: without it, purged events count as missing; may be given
    /// several times
    #[arg(long = "retention-vkey", value_name = "VKEY")]
    pub(crate) retention_keys: Vec<String>,

    /// A checkpoint that was kept elsewhere, such as the file beside the key: the log must have grown from it; may be given several
    /// times
    #[arg(long, value_name = "FILE")]
    pub(crate) against: Vec<PathBuf>,

    /// Verify what came after the checkpoint in this file, which was verified before, and that the log has grown from it
    #[arg(long, value_name = "FILE")]
    pub(crate) since: Option<PathBuf>,

    /// Verify the event with this id alone
    #[arg(long, value_name = "ID", allow_hyphen_values = true, conflicts_with_all = ["against", "since"])]
    pub(crate) event: Option<String>,

    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: ReportFormat,
}

#[derive(ClapArgs)]
pub(crate) struct WitnessArgs {
    /// A file with the public keys of the log, and the witnesses with their URLs and the quorum of them (C2SP tlog-policy)
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: PathBuf,

    /// The file of the cosigned checkpoint, which is replaced by each newer one: for verify --against and proof --checkpoint
    #[arg(long, value_name = "FILE")]
    pub(crate) keep: PathBuf,
}

#[derive(ClapArgs)]
pub(crate) struct ProofArgs {
    /// The id of the event
    #[arg(value_name = "ID", allow_hyphen_values = true)]
    pub(crate) id: String,

    /// Prove it in the tree of the checkpoint in this file, such as one that witnesses have cosigned, and not in the newest
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
}

#[derive(ClapArgs)]
pub(crate) struct VerifyProofArgs {
    /// The file with the event, as get prints it
    #[arg(value_name = "EVENT")]
    pub(crate) event: PathBuf,

    /// The file with the proof, as proof prints it
    #[arg(value_name = "PROOF")]
    pub(crate) proof: PathBuf,

    /// Accept a proof of a part of the event, and name the cells that were erased or left out
    #[arg(long)]
    pub(crate) partial: bool,

    #[command(flatten)]
    pub(crate) trust: TrustArgs,
}
