//! The targets of `fuzz/` without libFuzzer: over their seeds, and over mutants from a generator with a fixed seed.
//! So no target goes stale, and a broken promise near a seed is found here.

mod mutant;
#[path = "../../../fuzz/src/lib.rs"]
mod targets;

use std::path::Path;

/// Inputs for each target beside its seeds.
const MUTANTS: usize = 2000;

/// Shows the input when the target panics.
struct Shown<'i>(&'i [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input was b\"{}\"", self.0.escape_ascii());
        }
    }
}

fn check(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    let seeds: Vec<_> = files.iter().map(|file| std::fs::read(file).expect("a seed")).collect();
    let mut random = fastrand::Rng::with_seed(17);
    for n in 0..seeds.len() + MUTANTS {
        let input = match seeds.get(n) {
            Some(seed) => seed.clone(),
            None => mutant::of(&seeds, &mut random),
        };
        let shown = Shown(&input);
        run(&input);
        drop(shown);
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            check(stringify!($name), targets::$name::run);
        })*
    };
}

targets! { event export import policy policy_file query_string request seal syslog text_pattern time_expr truncate }
