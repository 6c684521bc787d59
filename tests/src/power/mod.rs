//! Power cuts (FAULTS S2, S3, F7): what a node was told to be durable when the power goes is there when it comes back, and what was not
//! synced may be gone, whole, torn or scattered.
//!
//! `kill -9` shows nothing of this, since the kernel keeps what a dead process has written. So the real node with its real database runs
//! once under a tracer, which notes every write and every sync ([`trace`]); from the notes a disk is made that keeps no more than it must
//! ([`disk`]); and before the end of each sync the power is cut, on many disks that differ in what they kept of the rest. Each folder that
//! is left is opened as the node opens it, and must hold all that anybody had been told by then ([`mod@audit`]); some are given to the real node.
//!
//! That the check can fail is shown by disks that ignore syncs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use towpath_fuzz::Random;

pub mod audit;
pub mod disk;
#[cfg(test)]
mod disk_tests;
pub mod recording;
pub mod trace;

use audit::{Due, Verdict, audit};
use disk::{Disk, Syncs, Unsynced};
use recording::{BROUGHT, Recording, VICTIM};

/// Which images to make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Images {
    /// How many, spread evenly over all ends of syncs.
    pub count: usize,
    /// Draws what of the rest was kept.
    pub seed: u64,
    /// Which syncs the disk takes seriously.
    pub syncs: Syncs,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    /// Ends of syncs in the recording.
    pub boundaries: usize,
    /// Images that were opened.
    pub images: usize,
    /// By what became of unsynced changes: images that held all that was told.
    pub whole: BTreeMap<Unsynced, usize>,
    /// Those that lacked something, or were damaged, and said so: what they said, and the image.
    pub noticed: Vec<String>,
    /// Those that lacked something without a word: what, and the image.
    pub lost: Vec<String>,
    /// The most payments that had been told before a cut.
    pub payments_told: u64,
}

/// One cut: before the end of which sync, what was kept of the rest, and what had been told.
struct Cut<'a> {
    boundary: usize,
    unsynced: Unsynced,
    disk: &'a Disk,
    due: &'a Due,
}

/// Makes the images and opens each of them.
///
/// # Errors
/// When the trace does not tell all that was done: then no image of it counts.
///
/// # Panics
/// When an image cannot be written.
pub fn open_images(recording: &Recording, how: Images, mut each: impl FnMut(usize)) -> Result<Tally, String> {
    let seed = towpath_node::devnet::seed(VICTIM);
    let scratch = recording::scratch();
    let mut random = Random::new(how.seed, "power");
    let mut tally = Tally::default();
    tally.boundaries = cuts(recording, how, |cut| {
        let image = scratch.path().join("image");
        cut.disk.cut(cut.unsynced, &mut random, &image);
        let verdict = audit(&image.join("store"), &seed, cut.due, BROUGHT);
        fs::remove_dir_all(&image).expect("it goes");
        let which = format!("sync {}, the rest {:?}, seed {}", cut.boundary, cut.unsynced, how.seed);
        tally.images += 1;
        match verdict {
            Verdict::Whole => *tally.whole.entry(cut.unsynced).or_default() += 1,
            Verdict::Noticed(what) => tally.noticed.push(format!("{which}: {what}")),
            Verdict::Lost(what) => tally.lost.push(format!("{which}: {what}")),
        }
        let told = cut.due.channels.values().map(|sums| sums.paid_count + sums.received_count).sum();
        tally.payments_told = tally.payments_told.max(told);
        each(tally.images);
    })?;
    Ok(tally)
}

/// Images for the node itself, in a folder of their own, each with what had been told.
///
/// # Errors
/// As [`open_images`].
///
/// # Panics
/// When an image cannot be written.
pub fn keep_images(recording: &Recording, how: Images) -> Result<(TempDir, Vec<(PathBuf, Due)>), String> {
    let kept = recording::scratch();
    let mut random = Random::new(how.seed, "kept");
    let mut images = Vec::new();
    cuts(recording, how, |cut| {
        let image = kept.path().join(images.len().to_string());
        cut.disk.cut(cut.unsynced, &mut random, &image);
        images.push((image, cut.due.clone()));
    })?;
    Ok((kept, images))
}

/// What is left when the power goes with the victim's last process, and what was not synced goes with it.
///
/// # Errors
/// As [`open_images`].
///
/// # Panics
/// When it cannot be written.
pub fn last_image(recording: &Recording, to: &Path) -> Result<(), String> {
    let disk = replay(recording, Syncs::Kept, |_, _| Ok(()))?;
    disk.cut(Unsynced::Gone, &mut Random::new(0, "last"), to);
    Ok(())
}

/// Goes through the recording and stops at as many ends of syncs as images are asked for; returns how many ends there are.
fn cuts(recording: &Recording, how: Images, mut each: impl FnMut(&Cut<'_>)) -> Result<usize, String> {
    let boundaries = count_boundaries(recording)?;
    let (mut boundary, mut done, mut told, mut due) =
        (0, 0, recording.told.iter().peekable(), Due::default());
    replay(recording, how.syncs, |disk, event| {
        if !disk.is_boundary(event) {
            return Ok(());
        }
        while let Some(next) = told.next_if(|next| next.at_us < event.at_us) {
            due.add(&next.fact);
        }
        // Image i of n is made at boundary i·b/n.
        while done < how.count && done * boundaries / how.count == boundary {
            let unsynced = Unsynced::ALL[done % Unsynced::ALL.len()];
            each(&Cut { boundary, unsynced, disk, due: &due });
            done += 1;
        }
        boundary += 1;
        Ok(())
    })?;
    Ok(boundaries)
}

fn count_boundaries(recording: &Recording) -> Result<usize, String> {
    let mut count = 0;
    replay(recording, Syncs::Kept, |disk, event| {
        count += usize::from(disk.is_boundary(event));
        Ok(())
    })?;
    Ok(count)
}

/// Does again what was done, and tells of each event before; at the end all must be as it was left.
fn replay(
    recording: &Recording,
    syncs: Syncs,
    mut before: impl FnMut(&Disk, &trace::Event) -> Result<(), String>,
) -> Result<Disk, String> {
    let mut disk = Disk::new(recording.before(), &recording.base(), syncs);
    for session in &recording.sessions {
        disk.new_process();
        for event in session {
            before(&disk, event)?;
            disk.apply(event)?;
        }
    }
    recording.is_told_by(&disk)?;
    Ok(disk)
}
