// The durable log of one group: what Raft calls its log and its persistent state (paper, figure
// 2), in segments below one directory. docs/log-format.md holds the format and the rules.
//
// Threads: append() and prepare() belong to the sync thread and the preparing thread, everything
// else to the loop thread. The two sides share no mutable state: what append() returns is handed
// over and taken up by publish(). LogWriter does all that; a driver only opens the log, reads it
// and asks for its space.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/entropy.h"
#include "base/error.h"
#include "raft/core/config.h"
#include "raft/core/ready.h"
#include "raft/storage/file_system.h"
#include "raft/storage/log_appender.h"
#include "raft/storage/log_positions.h"
#include "raft/storage/segment_chain.h"
#include "raft/storage/segment_preparer.h"

namespace holdfast::raft {

/// Where the stored snapshot stands, which the log must go on from.
struct SnapshotPosition {
  LogPoint last;  ///< it is the state after this entry
  /// It came from another server, so it may be ahead of this log, which is discarded then. One that
  /// this server wrote never passes its own synced log: if it does, the log has lost what it had.
  bool received = false;
};

struct LogOptions {
  std::string directory;  ///< must exist
  StoreId store;
  GroupId group = kDefaultGroup;
  /// Size of a segment, kSegmentBytesMin to kSegmentBytesMax. May change between starts.
  uint64_t segment_bytes = kSegmentBytes;
  /// Segments kept ready behind the one that is written, 1 to kSegmentsAheadMax. All but one are
  /// the reserve for when the disk is full.
  size_t segments_ahead = 1;
  /// Without one the log must begin with entry 1.
  std::optional<SnapshotPosition> snapshot;
  /// There is one, but it is too damaged to say where it stands: the log may begin anywhere, and
  /// whoever opens it gets the state elsewhere.
  bool snapshot_lost = false;
  /// There is no log yet, and it is to begin behind `snapshot`: what makes the first server of a
  /// cluster out of a state. A start never says so.
  bool begins_here = false;

  /// The log is read as it stands, which need not be durable, and nothing of it is changed; nothing
  /// is appended or prepared.
  bool read_only = false;

  static constexpr uint64_t kSegmentBytes = 16 << 20;
  static constexpr uint64_t kSegmentBytesMin = 4 << 10;
  static constexpr uint64_t kSegmentBytesMax = 1 << 30;
  static constexpr size_t kSegmentsAheadMax = 1024;
};

/// What was found, all of it durable again when LogStore::open() returns, unless for reading only.
struct RecoveredLog {
  HardState hard_state;
  LogIndex first_index{1};
  LogIndex last_index;  ///< first_index - 1 if the log is empty
  /// Covering first_index - 1, if that is above 0, to last_index.
  std::vector<TermRun> term_runs;
  std::optional<Entry> genesis;       ///< entry 1, if the log still has it
  std::vector<Entry> configurations;  ///< all configuration entries that the log has, ascending
  bool created = false;               ///< there was no log before
  /// A sentence about an unfinished write that was cut off at the end; empty if there was none.
  std::string torn_tail;
  /// A sentence if the log was discarded for a received snapshot; else empty. The log then begins
  /// behind the snapshot, without an entry.
  std::string discarded;

  /// CORRUPT if the log ends with an entry of a later term than the one in force. Whoever writes an
  /// entry has the term on disk before it, in the same batch at the latest (paper, figure 2); a log
  /// without that order was forged, and no core starts on it.
  Status check_terms() const;
};

struct LogSpace {
  uint64_t bytes_ahead = 0;   ///< that fit without allocating
  bool out_of_space = false;  ///< the disk is full: the next segment could not be allocated ahead
  uint64_t bytes = 0;         ///< size of the files that hold the log; those ahead come on top
  size_t segments_ready = 0;  ///< ahead
};

class LogStore {
 public:
  /// Recovers the log, or makes an empty one. CORRUPT names file and offset, or the log and the
  /// snapshot if they do not belong together (nothing is changed then); BAD_ARGUMENT a log of
  /// another store or a bad option; UNSUPPORTED a newer format; INTERNAL and NO_SPACE are errors of
  /// the disk. `files` must outlive the store.
  static Result<std::unique_ptr<LogStore>> open(FileSystem& files, Entropy& entropy,
                                                const LogOptions& options);
  LogStore(const LogStore&) = delete;
  LogStore& operator=(const LogStore&) = delete;

  // Loop thread.

  const RecoveredLog& recovered() const { return recovered_; }
  LogIndex first_index() const { return positions_.first_index(); }
  /// Of what has been published; the core's own last index may be ahead.
  LogIndex last_index() const { return positions_.last_index(); }
  /// Of entries first_index() - 1 (if above 0) to last_index(); nothing for any other index.
  std::optional<Term> term(LogIndex index) const { return positions_.term(index); }
  /// Appends to `out` entries from `low` on, below `high`: at least one, further ones while the sum
  /// of their payload plus kEntryOverheadBytes each stays within `max_bytes`. The range must lie in
  /// the log. Every record is verified: CORRUPT names file and offset.
  Status read(LogIndex low, LogIndex high, size_t max_bytes, std::vector<Entry>& out);
  /// Makes readable what an append made durable, in the order of the appends.
  void publish(const AppendedBatch& batch);
  /// Cuts the log at its old end: segments of which every entry in force is at or below `through`
  /// are given up, to be removed by the preparing thread. Returns first_index(), which has moved by
  /// whole segments and never passes through + 1; the entry before it keeps its term. The caller
  /// says that entries to `through` are in a durable snapshot, and asks for nothing below
  /// first_index() from now on.
  LogIndex cut(LogIndex through);
  LogSpace space() const;
  /// Makes a preparation try again that had found the disk full.
  void retry_preparation() { preparer_->retry(); }

  // Sync thread.

  /// See LogAppender::append().
  Result<AppendedBatch> append(std::span<const Write> writes) { return appender_.append(writes); }
  /// See LogAppender::append().
  bool failed() const { return appender_.failed(); }

  // Preparing thread, or any where the preparer says so.

  SegmentPreparer& preparer() { return *preparer_; }

 private:
  friend class LogRecovery;
  LogStore(RecoveredLog recovered, LogPositions positions, SegmentChain chain,
           std::unique_ptr<SegmentPreparer> preparer, LogIdentity identity, uint64_t segment_bytes,
           LogAppender::Position position);

  struct ReadBudget {
    size_t bytes = 0;
    bool begun = false;  ///< the first entry is free
    bool spent = false;
    bool admit(const Entry& entry);
  };
  Result<LogIndex> read_part(const Segment& segment, LogIndex low, LogIndex end, ReadBudget& budget,
                             std::vector<Entry>& out);
  Result<std::string_view> read_window(const Segment& segment, uint64_t offset, uint64_t size);
  Result<Entry> decode_entry(const Segment& segment, std::string_view window, uint64_t start,
                             LogIndex index) const;

  RecoveredLog recovered_;
  LogPositions positions_;
  SegmentChain chain_;
  std::unique_ptr<SegmentPreparer> preparer_;
  LogAppender appender_;
  std::string read_buffer_;
};

/// The core's port to the log (raft/core/config.h). A record that cannot be read is not served:
/// the outcome is "unavailable", and failure() says why, upon which the node must stop.
class StoredLogReader final : public LogReader {
 public:
  explicit StoredLogReader(LogStore& log) : log_(log) {}
  Outcome entries(LogIndex low, LogIndex high, size_t max_bytes, std::vector<Entry>& out) override;
  const std::optional<Error>& failure() const { return failure_; }

 private:
  LogStore& log_;
  std::optional<Error> failure_;
};

}  // namespace holdfast::raft
