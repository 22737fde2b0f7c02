//! The board is kept true to the store: read anew where another process changed it, and brought up to
//! each commit of this one.

use super::board::Board;
use super::{PAGE, Requests};
use crate::metadata::MetadataError;
use crate::metadata::records::{self, RequestRecord, RequestsRecord, Stage};

impl Requests {
    /// Reads the board anew where another process changed what is on it.
    pub(super) async fn refresh(&self) -> Result<(), MetadataError> {
        let _turn = self.0.turn.lock().await;
        self.refresh_in_turn().await
    }

    pub(super) async fn refresh_in_turn(&self) -> Result<(), MetadataError> {
        let state = records::read(self.0.metadata.as_ref(), &RequestsRecord::key()).await?;
        let changed = state.unwrap_or_default().changed;
        if self.0.board.read().changed == Some(changed) {
            return Ok(());
        }
        let mut board = Board::default();
        board.changed = Some(changed);
        for stage in [Stage::Open, Stage::Rejected] {
            let mut after = None;
            loop {
                let page = self.page(stage, after.as_ref()).await?;
                let last = page.len() < PAGE;
                for (key, record) in page {
                    if let Some((stage, number)) = RequestRecord::place(&key) {
                        if stage == Stage::Open && record.closure.is_some() {
                            let versions = self.known_versions_of(number, &record).await?;
                            board.put_closure(number, &record, versions);
                        }
                        board.put_record(number, stage, &record);
                    }
                    after = Some(key);
                }
                if last {
                    break;
                }
            }
        }
        self.show(&board);
        *self.0.board.write() = board;
        Ok(())
    }

    fn show(&self, board: &Board) {
        let (open, automatic) = board.counts();
        self.0.metrics.set_requests(open - automatic, automatic);
    }

    /// Brings what was committed onto the board.
    pub(super) fn post(&self, change: impl FnOnce(&mut Board)) {
        let mut board = self.0.board.write();
        change(&mut board);
        self.show(&board);
    }

    /// After a commit that failed nobody knows what the store says.
    pub(super) fn forget_board(&self) {
        self.0.board.write().changed = None;
    }
}
