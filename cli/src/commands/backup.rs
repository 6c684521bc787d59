//! `towpath backup …`

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use towpath_api::BackupQuery;
use towpath_crypto::id::{self, Kind};
use towpath_node::backup::{self as backups, Summary};

use crate::args::{Backup, Common};
use crate::context;
use crate::errors::CliError;
use crate::output::{Style, answer, facts, grouped};
use crate::passphrase;

/// Makes, checks and restores backups.
///
/// # Errors
/// When the node refuses, or a file cannot be made or is not what it should be.
pub async fn backup(common: &Common, command: Backup) -> Result<(), CliError> {
    match command {
        Backup::Create { file } => create(common, &file).await,
        Backup::Verify { file, passphrase_file } => {
            let passphrase = passphrase_of(passphrase_file.as_deref())?;
            let summary = backups::verify(&file, passphrase.as_bytes()).map_err(local)?;
            said(common, &file, &summary, "the backup is whole")
        }
        Backup::Restore { file, passphrase_file } => {
            let usage = || CliError::Usage("say where: --data-dir DIR".to_owned());
            let dir = common.data_dir().ok_or_else(usage)?;
            let passphrase = passphrase_of(passphrase_file.as_deref())?;
            let summary = backups::restore(&file, passphrase.as_bytes(), &dir).map_err(local)?;
            let next = format!(
                "restored into {}; its channels go on once their peers or towers have shown the newest states\n\n\
                 next: towpath node --data-dir {}",
                dir.display(),
                dir.display()
            );
            said(common, &file, &summary, &next)
        }
    }
}

fn local(error: impl std::fmt::Display) -> CliError {
    CliError::Local(error.to_string())
}

fn passphrase_of(file: Option<&Path>) -> Result<String, CliError> {
    match file {
        Some(file) => passphrase::read(file),
        None => passphrase::ask("passphrase of the key file: "),
    }
}

/// Writes the pages of a running node beside `file`, and puts it in its place once it is whole and on disk.
async fn create(common: &Common, file: &Path) -> Result<(), CliError> {
    let client = context::client(common)?;
    let failed = |path: &Path, error: std::io::Error| CliError::Local(format!("{}: {error}", path.display()));
    if file.exists() {
        return Err(CliError::Local(format!("{} exists, and is not overwritten", file.display())));
    }
    let beside = beside(file);
    let mut options = File::options();
    let mut out = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .map_err(|error| failed(&beside, error))?;
    let (mut query, mut bytes) = (BackupQuery::default(), 0_usize);
    loop {
        let page = client.backup(&query).await?;
        let part = hex::decode(&page.bytes).map_err(|_| local("the node answers with something else"))?;
        bytes += part.len();
        out.write_all(&part).map_err(|error| failed(&beside, error))?;
        let Some(next) = page.next else { break };
        query.next = Some(next);
    }
    out.sync_all().map_err(|error| failed(&beside, error))?;
    std::fs::rename(&beside, file).map_err(|error| failed(file, error))?;
    let document = serde_json::json!({ "file": file, "bytes": bytes });
    answer(Style::of(common), &document, |_| {
        let bytes = grouped(u64::try_from(bytes).unwrap_or(u64::MAX));
        format!(
            "{} ({bytes} bytes), encrypted; it opens with the passphrase of the node's key file",
            file.display()
        )
    })
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

fn said(common: &Common, file: &Path, summary: &Summary, what: &str) -> Result<(), CliError> {
    let about = &summary.about;
    let node = id::encode(Kind::Node, &about.node.0);
    let document = serde_json::json!({
        "file": file,
        "node": node,
        "name": about.name,
        "chain": id::encode(Kind::Chain, &about.chain.0.0),
        "created_ms": about.created_ms,
        "height": about.height,
        "version": about.version,
        "rows": summary.rows,
        "channels": summary.channels,
        "unreadable": summary.unreadable,
    });
    answer(Style::of(common), &document, |_| {
        let lines = [
            ("node", format!("{node} ({})", about.name)),
            ("made at", format!("height {}, by version {}", grouped(about.height), about.version)),
            ("channels", format!("{} ({} cannot be read)", grouped(summary.channels), summary.unreadable)),
        ];
        format!("{}\n\n{what}", facts(&lines))
    })
}
