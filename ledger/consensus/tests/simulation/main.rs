//! Clusters under a virtual clock (`sim`), single engines under a microscope (`bench`), and what must hold in both
//! whatever happens.

mod bench;
mod byzantine;
mod cluster;
mod money;
mod pacing;
mod protection;
mod sim;
mod stops;
mod storm;
mod sync;
mod traps;
