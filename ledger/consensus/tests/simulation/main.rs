//! Clusters under a virtual clock (`sim`), and what must hold in them whatever happens.

mod sim;
mod storm;
