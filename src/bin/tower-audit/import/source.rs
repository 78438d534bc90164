//! The sources of an import.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::PathBuf;

use flate2::bufread::MultiGzDecoder;
use tokio::sync::mpsc;
use tower_audit::import::{ImportFormat, ImportRecord, RecordMapper, Records};
use tower_audit::store::StoreError;
use tower_audit::store::postgres::IvreTable;

use crate::error::CliError;

/// The number of records of a batch, and so of events of an append.
pub(crate) const BATCH: usize = 256;
/// The number of batches that are read ahead.
const AHEAD: usize = 2;

/// A source that is open.
pub(crate) enum Source {
    Stdin,
    File { path: PathBuf, file: File },
    Ivre(IvreTable),
}

/// The failure of a source.
#[derive(Debug)]
pub(crate) enum SourceError {
    Io(io::Error),
    Store(StoreError),
}

impl Source {
    /// Opens a source as it was typed.
    pub(crate) async fn open(typed: &str, format: ImportFormat) -> Result<Self, CliError> {
        if typed == "-" {
            return Ok(Self::Stdin);
        }
        let is_url = ["postgres:", "postgresql:"].iter().any(|scheme| typed.starts_with(scheme));
        if is_url && format == ImportFormat::Ivre {
            return Ok(Self::Ivre(IvreTable::open(typed).await?));
        }
        if is_url {
            return Err(CliError::Usage(
                "SOURCE: a database is read with --from ivre alone: of another log, import an export".into(),
            ));
        }
        let path = PathBuf::from(typed);
        let unreadable = |cause| CliError::Unreadable { source: typed.to_owned(), cause };
        let file = File::open(&path).map_err(unreadable)?;
        if file.metadata().map_err(unreadable)?.is_dir() {
            return Err(unreadable(io::ErrorKind::IsADirectory.into()));
        }
        Ok(Self::File { path, file })
    }

    /// Returns the name for a report: of a file, its own without the folders.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Stdin => "standard input".into(),
            Self::File { path, .. } => path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
            Self::Ivre(_) => "IVRE's table".into(),
        }
    }
}

/// Reads a source in a thread or a task of its own, a few batches ahead.
pub(crate) fn read(source: Source, format: ImportFormat) -> mpsc::Receiver<Result<Vec<ImportRecord>, SourceError>> {
    let (sender, batches) = mpsc::channel(AHEAD);
    match source {
        Source::Ivre(table) => drop(tokio::spawn(read_table(table, format, sender))),
        Source::Stdin => read_file(io::stdin(), format, sender),
        Source::File { file, .. } => read_file(file, format, sender),
    }
    batches
}

type Batches = mpsc::Sender<Result<Vec<ImportRecord>, SourceError>>;

fn read_file(input: impl io::Read + Send + 'static, format: ImportFormat, sender: Batches) {
    std::thread::spawn(move || {
        let records = match plain(BufReader::with_capacity(1 << 16, input)) {
            Ok(input) => Records::new(format, input),
            Err(error) => return drop(sender.blocking_send(Err(SourceError::Io(error)))),
        };
        let mut batch = Vec::with_capacity(BATCH);
        for record in records {
            match record {
                Ok(record) => batch.push(record),
                Err(error) => {
                    // What was read before the failure counts.
                    let _ = sender.blocking_send(Ok(std::mem::take(&mut batch)));
                    return drop(sender.blocking_send(Err(SourceError::Io(error))));
                }
            }
            if batch.len() == BATCH && sender.blocking_send(Ok(std::mem::take(&mut batch))).is_err() {
                return;
            }
        }
        let _ = sender.blocking_send(Ok(batch));
    });
}

/// Decompresses gzip, which is told by its first two bytes (RFC 1952 section 2.3.1). A compressed log may be of several members.
fn plain(mut input: impl BufRead + Send + 'static) -> io::Result<Box<dyn BufRead + Send>> {
    let mut first = Vec::with_capacity(2);
    input.by_ref().take(2).read_to_end(&mut first)?;
    let is_gzip = first == [0x1f, 0x8b];
    let whole = io::Cursor::new(first).chain(input);
    Ok(if is_gzip { Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(whole))) } else { Box::new(whole) })
}

async fn read_table(mut table: IvreTable, format: ImportFormat, sender: Batches) {
    let mut mapper = RecordMapper::new(format);
    let mut last = i64::MIN;
    loop {
        let rows = match table.rows_after(last, BATCH as u32).await {
            Ok(rows) => rows,
            Err(error) => return drop(sender.send(Err(SourceError::Store(error))).await),
        };
        let Some((id, _)) = rows.last() else { return };
        last = *id;
        let records = rows.iter().filter_map(|(id, row)| mapper.map_json(id.unsigned_abs(), row.as_bytes())).collect();
        if sender.send(Ok(records)).await.is_err() {
            return;
        }
    }
}
