// Opens a log: scans it, cuts a torn tail, and makes durable again what may only have been
// readable.
//
// The last batch that can be read may never have been synced: after a kill -9 it is in the page
// cache and gone with the next power loss. Every batch before it was synced before the next one was
// begun. So recovery writes the last batch, as far as valid, to a fresh segment under a temporary
// name, syncs it, renames it, syncs the directory, and only then hands the log out.
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
  SegmentRef open_segment(const LogFile& file);
  void plan_head();
  std::optional<Error> write_fresh_segment();
  IoStatus write_image(std::string_view image);
  IoResult<std::unique_ptr<File>> fresh_file();
  std::string_view encode_last_batch();
  void publish_last_batch();
  std::optional<Error> drop_leftovers();
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
  std::map<uint64_t, SegmentRef> segments_;
  std::optional<Error> failure_;

  SegmentHead head_;  ///< of the fresh segment
  BatchEncoder encoder_;
  SegmentRef fresh_;
  AppendedBatch rewritten_;
  uint64_t fresh_end_ = 0;
  std::string reused_;  ///< the file that became the fresh segment, if any
  std::vector<std::string> spares_;
};

}  // namespace holdfast::raft
