// Reads a log from its files and judges it: sound, with a torn tail, or damaged. Never writes.
// Recovery (log_recovery.h) and the offline inspection (log_inspect.h) stand on it. The rules and
// the argument for them are in docs/log-format.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "raft/storage/file_system.h"
#include "raft/storage/log_format.h"

namespace holdfast::raft {

/// Why a log cannot be used, and where.
struct LogFault {
  ErrorCode code = ErrorCode::kCorrupt;
  std::string file;  ///< path
  uint64_t offset = 0;
  std::string reason;
  Error to_error() const;
};

/// A file of the log's directory.
struct LogFile {
  enum class Role {
    kChain,      ///< part of the log
    kSpare,      ///< preallocated, or recycled and not begun, or begun by a torn batch
    kDead,       ///< superseded: nothing in it is part of the log any more
    kTemporary,  ///< left over from an allocation or a recovery that was interrupted
  };
  std::string name;
  uint64_t number = 0;
  uint64_t bytes = 0;
  Role role = Role::kSpare;
  std::optional<SegmentHead> head;  ///< if it verifies and is this segment's
  uint64_t end = 0;                 ///< chain: nothing behind this offset is read
};

/// A batch as found; valid during the callback unless `image` is kept.
struct ScannedBatch {
  const LogFile* file = nullptr;
  std::shared_ptr<const std::string> image;  ///< of the whole file; the records point into it
  uint64_t number = 0;
  uint64_t offset = 0;
  uint64_t end = 0;    ///< where it ends or, if torn, where it was cut
  bool whole = false;  ///< false only for the last batch of the log
  LogTail before;      ///< in force before it
  std::vector<Record> records;
};

/// How the log ends.
struct LogEnd {
  LogTail tail;             ///< in force at the end, every readable record counted
  uint64_t last_batch = 0;  ///< number of the last batch of which anything could be read
  uint64_t next_batch = 0;  ///< above the number of every batch that was ever begun
  const LogFile* file = nullptr;
  uint64_t offset = 0;  ///< where reading ended
  bool torn = false;    ///< remains of an unfinished batch stand there
  std::string reason;   ///< why reading ended there

  /// With `torn`: one sentence.
  std::string describe() const;
};

class LogScan {
 public:
  using OnBatch = std::function<void(const ScannedBatch&)>;

  /// With a store, segments of another one are refused.
  LogScan(FileSystem& files, std::string directory, GroupId group, std::optional<StoreId> store);

  /// Lists the directory, reads the heads and finds the chain of segments that is the log.
  std::optional<LogFault> find_segments();
  /// Reads the chain, oldest first, handing out each batch. Call once, after find_segments().
  std::optional<LogFault> replay(const OnBatch& on_batch);

  /// What the log begins behind. It is later than the oldest head says if an entry replaced one
  /// that stood before that head. After replay().
  const LogPoint& begin() const { return begin_; }
  /// No log has been made here yet. (find_segments() has been called, as for all that follows.)
  bool empty() const { return chain_.empty(); }
  const std::vector<LogFile>& files() const { return all_; }
  /// Oldest first; points into files().
  const std::vector<LogFile*>& chain() const { return chain_; }
  /// Above every number that any file bears, in its name or in its head: under a number that was
  /// used before, the old bytes of a reused file would verify.
  uint64_t next_segment() const { return next_segment_; }
  uint64_t salt() const { return chain_.back()->head->salt; }
  /// After replay().
  const LogEnd& end() const { return end_; }

 private:
  struct Piece {
    const LogFile* file = nullptr;
    Record record;
  };
  /// What a search behind a bad region found.
  struct Behind {
    std::optional<Piece> own;    ///< of the bad batch itself
    std::optional<Piece> later;  ///< of a later batch: the bad one had been synced
  };

  std::optional<LogFault> list();
  std::optional<LogFault> read_head(LogFile& file);
  std::optional<LogFault> link();
  bool begins_with(const LogFile& file) const;
  std::optional<LogFault> check_link(const LogFile& file, const LogFile* older) const;
  std::optional<LogFault> load(const LogFile& file, std::shared_ptr<const std::string>& image);
  std::optional<LogFault> read_segment(LogFile& file, const LogFile* newer,
                                       const OnBatch& on_batch);
  std::optional<LogFault> check_continuity(const LogFile& file) const;
  /// Parses the batch at `offset`; `bad_at` is where it stops being readable, if it does.
  bool parse(const LogFile& file, uint64_t offset, uint64_t expected, ScannedBatch& batch,
             uint64_t& bad_at, std::string& reason) const;
  void parse_records(const BatchHead& head, uint64_t seed, ScannedBatch& batch, uint64_t at,
                     uint64_t& bad_at, std::string& reason) const;
  std::optional<LogFault> take_up(const ScannedBatch& batch);
  std::optional<LogFault> judge(LogFile& file, const std::string& image, uint64_t bad_batch,
                                uint64_t bad_at, bool at_boundary, const std::string& reason);
  void search(const LogFile& file, std::string_view image, uint64_t from, uint64_t bad_batch,
              Behind& behind) const;
  std::string path_of(const LogFile& file) const { return directory_ + "/" + file.name; }
  LogFault fault(const LogFile& file, uint64_t offset, std::string reason) const;

  FileSystem& files_;
  const std::string directory_;
  const GroupId group_;
  const std::optional<StoreId> store_;
  std::vector<LogFile> all_;
  std::vector<LogFile*> chain_;
  uint64_t next_segment_ = 1;
  LogPoint begin_;
  LogEnd end_;
};

}  // namespace holdfast::raft
