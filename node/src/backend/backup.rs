//! The backup's part of the API.

use std::sync::Arc;

use towpath_api::{ApiError, BackupPage, BackupQuery, Code};

use super::Node;
use crate::backup::{self, About, BackupError, Place};
use crate::clock;

fn backup_error(error: &BackupError) -> ApiError {
    match error {
        BackupError::Place => ApiError::new(Code::InvalidRequest, error.to_string()),
        // What is wrong names files of this machine: it is for the log.
        _ => {
            tracing::error!(%error, "a backup cannot be made");
            ApiError::new(Code::Internal, "the backup cannot be made; the node's log says why")
        }
    }
}

impl Node {
    pub(super) async fn backup_page(self: Arc<Self>, query: BackupQuery) -> Result<BackupPage, ApiError> {
        let place = query.next.as_deref().map(Place::parse).transpose();
        let place = place.map_err(|error| backup_error(&error))?;
        let page = tokio::task::spawn_blocking(move || {
            let keys = crate::key_file(&self.data_dir);
            backup::page(&**self.journal.store(), &self.seed, &keys, place, || self.about())
        });
        let page = page.await.map_err(|error| ApiError::new(Code::Internal, error.to_string()))?;
        let page = page.map_err(|error| backup_error(&error))?;
        let next = page.next.map(|place| place.to_string());
        Ok(BackupPage { bytes: hex::encode(page.bytes), next })
    }

    fn about(&self) -> About {
        let config = std::fs::read_to_string(self.data_dir.join("config.toml")).unwrap_or_default();
        About {
            created_ms: clock::now_ms(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            chain: self.chain.chain(),
            node: self.net.local(),
            name: self.name.clone(),
            height: self.chain.tip().height(),
            genesis: self.genesis.to_toml().unwrap_or_default(),
            config,
        }
    }
}
