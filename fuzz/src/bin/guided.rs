//! One target under libFuzzer, which keeps what reaches new code: `TOWPATH_FUZZ_TARGET=NAME guided CORPUS_FOLDER`.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use towpath_fuzz::{Target, all};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("TOWPATH_FUZZ_TARGET").expect("TOWPATH_FUZZ_TARGET names a target");
    all().into_iter().find(|target| target.name == name).expect("there is a target of this name")
});

fuzz_target!(|bytes: &[u8]| {
    (TARGET.run)(bytes);
});
