// Looks at a log offline and says what is in it and whether it is sound. Never writes, takes no
// lock, works on a damaged log. For `holdfast log inspect` and `holdfast log verify`: plain structs
// for programs, text for people. Of a running node's log it shows a moment: the end may look torn.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "raft/storage/file_system.h"
#include "raft/storage/log_scan.h"

namespace holdfast::raft {

enum class InspectDetail { kSegments, kBatches, kRecords };

struct InspectedRecord {
  uint64_t offset = 0;
  std::string type;  ///< "hard-state", "noop", "command", "configuration", "genesis"
  uint64_t term = 0;
  uint64_t index = 0;  ///< entries
  uint64_t vote = 0;   ///< hard states
  uint64_t payload_bytes = 0;
};

struct InspectedBatch {
  uint64_t number = 0;
  uint64_t offset = 0;
  uint64_t bytes = 0;
  uint64_t record_count = 0;
  bool whole = true;                     ///< false only for an unfinished last batch
  std::vector<InspectedRecord> records;  ///< with kRecords
};

struct InspectedSegment {
  std::string file;  ///< name
  uint64_t number = 0;
  std::string role;  ///< "log", "spare", "superseded", "temporary"
  uint64_t file_bytes = 0;
  uint64_t end = 0;  ///< offset behind the last readable batch; 0 if not part of the log
  std::optional<SegmentHead> head;
  uint64_t batch_count = 0;
  uint64_t record_count = 0;
  std::vector<InspectedBatch> batches;  ///< with kBatches or more
};

struct LogInspection {
  enum class Verdict { kEmpty, kSound, kTornTail, kDamaged };
  std::string directory;
  GroupId group;
  std::vector<InspectedSegment> segments;  ///< every file, by number; what comes before the damage
  Verdict verdict = Verdict::kEmpty;
  std::string message;            ///< one sentence, naming file and offset if not sound
  std::optional<LogFault> fault;  ///< with kDamaged
  uint64_t torn_offset = 0;       ///< with kTornTail, in file `torn_file`
  std::string torn_file;
  uint64_t first_index = 0;  ///< above 1 if the log was cut; with an empty log, last_index + 1
  LogTail tail;              ///< hard state and last entry, as far as readable
  uint64_t batch_count = 0;
  uint64_t record_count = 0;
};

/// "empty", "sound", "torn-tail", "damaged".
const char* verdict_name(LogInspection::Verdict verdict);

/// Every record of the log in `log_directory` is read and its checksum verified. With a store,
/// segments of another one count as damage.
LogInspection inspect_log(FileSystem& files, const std::string& log_directory, GroupId group,
                          std::optional<StoreId> store, InspectDetail detail);

/// All groups' logs below a node's data directory, by group. An error if it is no data directory,
/// its identity is corrupt, or it belongs to a cluster and has no log any more.
Result<std::vector<LogInspection>> inspect_data_directory(FileSystem& files,
                                                          const std::string& data_directory,
                                                          InspectDetail detail);

/// The inspection for people, several lines.
std::string format_inspection(const LogInspection& inspection);

}  // namespace holdfast::raft
