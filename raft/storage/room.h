// Room on the disk for when there is none (PROMISE 12): looks at what is free, and holds a file
// whose only content is room. The snapshot is lent it when it finds no other, because a snapshot is
// what the log can be cut by. The log's own reserve is the segments that the preparer has ahead.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/time.h"
#include "raft/storage/file_system.h"
#include "raft/storage/log_store.h"

namespace holdfast::raft {

/// What the snapshot says of itself.
struct SnapshotRoom {
  uint64_t wanted_bytes = 0;  ///< that its next span takes of the disk, at most
  uint64_t taken_bytes = 0;   ///< that its files had when it last wrote
};

/// What a server's disk has, as last looked at.
struct DiskRoom {
  enum class State : uint8_t {
    kOk,
    kLow,   ///< little is free: an operator should know
    kFull,  ///< only what frees or keeps alive is admitted
  };
  State state = State::kOk;
  Instant since;     ///< of the state
  std::string path;  ///< below it all files are
  uint64_t free_bytes = 0;
  uint64_t needed_bytes = 0;   ///< below which it counts as full, or, once full, still does
  uint64_t reserve_bytes = 0;  ///< in the reserve's file
  uint64_t short_bytes = 0;    ///< that the reserve lacks, and a segment that could not be had
  uint64_t reserve_short_bytes = 0;  ///< of them, those of the reserve
  uint64_t log_bytes = 0;            ///< that the log may take before the next look
  /// The snapshot's files had so much when free_bytes was true, or less; at first nobody knows.
  uint64_t snapshot_taken_bytes = ~uint64_t{0};

  /// What must be free for the disk to count as full no longer.
  uint64_t wanted_bytes() const { return needed_bytes + short_bytes; }
  /// The snapshot, whose files have `taken` by now, can have so much more, whatever the log takes
  /// until the next look.
  uint64_t snapshot_bytes(uint64_t taken) const;
  std::string missing;  ///< full: what there is no room for, as part of a sentence

  bool full() const { return state == State::kFull; }
};
/// "ok", "low", "full".
const char* room_state_name(DiskRoom::State state);

struct RoomOptions {
  std::string directory;        ///< exists; the reserve's file is in it
  uint64_t reserve_bytes = 0;   ///< and as much again as the snapshot has
  uint64_t min_free_bytes = 0;  ///< full below it, low below twice as much
  /// What note_snapshot() would want at first. Until it is called nothing of the reserve's file is
  /// given up: it may be held for what is replayed from the log, of which nobody knows yet.
  uint64_t snapshot_bytes = 0;
};

/// step() belongs to one thread that may wait for the disk, all else to any.
class RoomKeeper {
 public:
  static constexpr const char* kFileName = "reserve";
  /// Bytes that one step takes at most.
  static constexpr uint64_t kStepBytes = 64 << 20;
  /// A preparation that found the disk full is tried again after this, doubled each time.
  static constexpr Duration kRetryMin = 1s;
  static constexpr Duration kRetryMax = 8s;

  /// Both outlive the keeper, of which a log has one at a time. Asks at once what is free and what
  /// is held: room() is true before the first step, which may take its time over the reserve.
  RoomKeeper(FileSystem& files, LogStore& log, RoomOptions options, Instant now);
  ~RoomKeeper();
  RoomKeeper(const RoomKeeper&) = delete;
  RoomKeeper& operator=(const RoomKeeper&) = delete;

  /// Looks at the disk, takes or gives up what is to be. An error other than of a full disk means
  /// that the reserve's file cannot be used.
  Status step(Instant now);
  DiskRoom room() const;
  /// While lent, the reserve's room is free for the snapshot, and the disk counts as full.
  void lend(bool lent);
  /// What it wants is reserved beside what the options say.
  void note_snapshot(const SnapshotRoom& snapshot);

  /// A start needs a little: gives up that much of the reserve if nothing else is free.
  static Status make_room_to_start(FileSystem& files, const std::string& directory);

 private:
  struct Wanted {
    bool lent = false;
    bool known = true;       ///< less than is held may be held
    uint64_t reserve_bytes;  ///< to be held
    uint64_t taken_bytes;    ///< by the snapshot's files
  };
  Wanted wanted() const;
  IoStatus hold_reserve(const Wanted& wanted);
  IoStatus open_reserve();
  bool may_take_segment(uint64_t bytes) const;
  bool begin_segment(uint64_t bytes);
  IoResult<uint64_t> ask_free();
  void retry_preparation(Instant now);
  void judge(Instant now);
  std::string missing() const;

  FileSystem& files_;
  LogStore& log_;
  const RoomOptions options_;

  // The disk's thread.
  std::unique_ptr<File> file_;
  uint64_t held_ = 0;
  bool reserve_missing_ = false;
  bool reserve_too_large_ = false;  ///< for what is free
  bool segments_missing_ = false;
  uint64_t short_ = 0;
  uint64_t free_ = 0;
  uint64_t taken_ = ~uint64_t{0};  ///< by the snapshot's files, before free_ was asked for
  Instant retry_at_;
  Duration retry_after_ = kRetryMin;

  mutable std::mutex mutex_;  ///< of what follows; never held while the disk works
  bool lent_ = false;
  SnapshotRoom snapshot_;
  uint64_t begun_ = 0;  ///< bytes of segments that were begun since free_ was asked for
  bool noted_ = false;  ///< snapshot_ is what the snapshot says, not what it is likely to say
  DiskRoom room_;
};

}  // namespace holdfast::raft
