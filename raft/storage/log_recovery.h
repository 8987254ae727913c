// Opens a log: scans it, cuts a torn tail, and makes durable again what may only have been
// readable.
//
// The last batch that can be read may never have been synced: after a kill -9 it is in the page
// cache and gone with the next power loss. Every batch before it was synced before the next one was
// begun. So recovery writes the last batch, as far as valid, to a fresh segment under a temporary
// name, syncs it, renames it, syncs the directory, and only then hands the log out.
//
// A log that a received snapshot has left behind is discarded by the same step: the fresh segment
// names no older log, and says that the log begins behind the snapshot.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "raft/storage/log_scan.h"
#include "raft/storage/log_store.h"

namespace holdfast::raft {

class LogRecovery {
 public:
  LogRecovery(FileSystem& files, Entropy& entropy, const LogOptions& options);
  Result<std::unique_ptr<LogStore>> run();

 private:
  std::optional<Error> scan();
  void settle(const ScannedBatch& batch);
  void publish(AppendedBatch batch);
  void note_snapshot_entry(const ScannedBatch& batch);
  void note_configurations(const ScannedBatch& batch);
  std::optional<Error> judge_snapshot();
  std::optional<Error> judge_begin() const;
  void discard();
  SegmentRef open_segment(const LogFile& file);
  void plan_head();
  void plan_place();
  std::optional<Error> find_last_batch();
  std::optional<Error> move_last_batch();
  std::optional<Error> write_fresh_segment();
  IoStatus write_image(std::string_view image);
  IoResult<std::unique_ptr<File>> fresh_file();
  std::string_view encode_last_batch();
  void publish_last_batch();
  std::optional<Error> drop_leftovers();
  IoStatus drop(const LogFile& file);
  IoStatus trim(const LogFile& file);
  bool kept(const LogFile& file) const;
  RecoveredLog summary() const;
  std::unique_ptr<LogStore> hand_out();
  std::string path_of(const std::string& name) const { return options_.directory + "/" + name; }

  FileSystem& files_;
  Entropy& entropy_;
  const LogOptions options_;
  LogScan scan_;
  std::optional<ScannedBatch> last_;  ///< the last batch, not yet settled
  LogPositions positions_;
  SegmentChain chain_;
  std::map<uint64_t, SegmentRef> segments_;
  std::optional<Error> failure_;
  std::optional<Term> term_at_snapshot_;  ///< of the entry at which the snapshot stands
  std::vector<Entry> configurations_;
  std::string discarded_;  ///< why the log is discarded, if it is

  SegmentHead head_;  ///< of the fresh segment
  LogTail tail_;      ///< in force behind it
  BatchEncoder encoder_;
  SegmentRef fresh_;
  AppendedBatch rewritten_;
  uint64_t fresh_end_ = 0;
  std::string reused_;  ///< the file that became the fresh segment, if any
  std::vector<std::string> spares_;
};

}  // namespace holdfast::raft
