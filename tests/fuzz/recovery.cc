// A log's files, changed in any way, into recovery: whole logs, and such that begin behind a
// snapshot. It opens or refuses and does not crash; what it refuses it leaves as it was; what it
// serves was in records that verify and, unless the input made checksums fit, was written; a second
// start finds the same, after a power loss too.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "raft/storage/log_inspect.h"
#include "raft/storage/log_store.h"
#include "tests/fuzz/damaged_disk.h"
#include "tests/fuzz/input.h"
#include "tests/support/seeded_entropy.h"

namespace holdfast::raft {
namespace {

using fuzz::Input;

constexpr const char* kDirectory = "/log";
constexpr StoreId kStore{77};
constexpr int kDamagesMax = 12;

using Snapshot = std::optional<SnapshotPosition>;

struct Content {
  HardState hard_state;
  std::vector<Entry> entries;
  LogIndex before;  ///< what they begin behind
  friend bool operator==(const Content&, const Content&) = default;
};

Result<std::unique_ptr<LogStore>> open_log(FileSystem& files, const Snapshot& snapshot) {
  SeededEntropy entropy(99);
  return LogStore::open(
      files, entropy,
      LogOptions{
          .directory = kDirectory, .store = kStore, .segment_bytes = 4096, .snapshot = snapshot});
}

std::unique_ptr<LogStore> must_open(FileSystem& files, const Snapshot& snapshot, const char* what) {
  auto log = open_log(files, snapshot);
  if (!log.ok()) {
    const auto found =
        inspect_log(files, kDirectory, kDefaultGroup, kStore, InspectDetail::kBatches);
    std::fprintf(stderr, "%s", format_inspection(found).c_str());
  }
  HF_CHECK(log.ok(), what);
  return std::move(*log);
}

Content content_of(LogStore& log) {
  Content content{log.recovered().hard_state, {}, log.first_index().prev()};
  if (log.last_index() < log.first_index()) return content;
  const Status read =
      log.read(log.first_index(), log.last_index().next(), ~size_t{0} >> 1, content.entries);
  HF_CHECK(read.ok(), "a log that opened can be read");
  return content;
}

/// A log that was written in good order, and all that it held on the way.
class SoundLog {
 public:
  /// Two lives: several segments, hard states, an overwritten entry, batches of several records.
  /// Cut behind entry `through`, if that is above 0.
  explicit SoundLog(uint64_t batches, uint64_t through = 0) {
    HF_CHECK(disk_.create_directory(kDirectory).ok(), "the fake disk has room");
    HF_CHECK(disk_.sync_directory("/").ok(), "the fake disk syncs");
    states_.emplace_back();
    for (uint64_t life = 1; life <= 2; ++life) {
      auto log = open_log(disk_, {});
      for (uint64_t i = 0; i < batches; ++i) append(**log, life, i);
      if (life == 2 && through > 0) cut(**log, LogIndex(through));
    }
  }

  std::unique_ptr<FakeFileSystem> copy() const { return disk_.clone(7); }
  const Snapshot& snapshot() const { return snapshot_; }

  bool held(const Content& content) const {
    return std::any_of(states_.begin(), states_.end(), [&](const Content& state) {
      const uint64_t before = content.before.value;
      return before + content.entries.size() <= state.entries.size() &&
             std::equal(content.entries.begin(), content.entries.end(),
                        state.entries.begin() + static_cast<ptrdiff_t>(before));
    });
  }
  bool knew(const HardState& hard_state) const {
    return std::any_of(states_.begin(), states_.end(),
                       [&](const Content& state) { return state.hard_state == hard_state; });
  }

 private:
  void append(LogStore& log, uint64_t life, uint64_t i) {
    Content next = states_.back();
    Write write;
    write.number = states_.size();
    if (i % 4 == 0) {
      next.hard_state = HardState{Term(10 * life + i), NodeId(2)};
      write.hard_state = next.hard_state;
    }
    if (i == 4) next.entries.pop_back();
    for (uint64_t k = 0; k < 2; ++k) {
      const LogIndex index(next.entries.size() + 1);
      next.entries.push_back({Term(10 * life + i - i % 4), index, EntryType::kCommand,
                              Blob(std::string(100 + 9 * i, static_cast<char>('a' + i)))});
      write.entries.push_back(next.entries.back());
    }
    const auto batch = log.append(std::vector<Write>{write});
    HF_CHECK(batch.ok(), "a sound disk takes a batch");
    log.publish(*batch);
    states_.push_back(std::move(next));
  }

  void cut(LogStore& log, LogIndex through) {
    snapshot_ = {.last = {through, *log.term(through)}};
    HF_CHECK(log.cut(through) > LogIndex(1), "some segments go");
    while (log.preparer().step() != SegmentPreparer::Step::kIdle) {
    }
  }

  FakeFileSystem disk_;
  Snapshot snapshot_;
  std::vector<Content> states_;
};

const SoundLog& sound_log(uint8_t which) {
  static const SoundLog kLogs[] = {SoundLog(0), SoundLog(1),     SoundLog(3),
                                   SoundLog(9), SoundLog(9, 18), SoundLog(9, 30)};
  return kLogs[which % std::size(kLogs)];
}

void check_refused(FakeFileSystem& files, const Snapshot& snapshot, const Error& error,
                   LogInspection::Verdict verdict, uint64_t operations) {
  // Whether a sound log belongs to the snapshot beside it an inspection does not say.
  const bool apart = error.message.find("snapshot") != std::string::npos;
  HF_CHECK(apart || verdict == LogInspection::Verdict::kDamaged,
           "what is refused is shown as damaged");
  HF_CHECK(files.operations() == operations, "a refused log is left as it is");
  const auto again = open_log(files, snapshot);
  HF_CHECK(!again.ok() && again.error().message == error.message, "it is refused again");
}

void check_served(const Content& content, const std::set<EntryFacts>& verified, LogIndex first) {
  LogIndex index = first;
  for (const Entry& entry : content.entries) {
    HF_CHECK(entry.index == index, "entries follow each other");
    const EntryFacts facts(entry.index.value, entry.term.value, record_type_of(entry.type),
                           std::string(entry.data.view()));
    HF_CHECK(verified.contains(facts), "an entry that is served stood in a record that verified");
    index = index.next();
  }
}

/// A log that was discarded is empty, and begins behind the snapshot.
void check_discarded(const Content& content, const SnapshotPosition& snapshot) {
  HF_CHECK(snapshot.received, "only for a snapshot from elsewhere");
  HF_CHECK(content.entries.empty() && content.before == snapshot.last.index, "nothing is left");
  HF_CHECK(content.hard_state.term >= snapshot.last.term, "the snapshot's term is in force");
}

void check_content(const DamagedDisk& disk, const SoundLog& sound, const Content& content) {
  if (disk.forged()) return;
  HF_CHECK(sound.held(content), "only what was written is served");
  HF_CHECK(sound.knew(content.hard_state), "only a term that was written counts");
}

/// A log that opened takes a batch, and has it and all before it after a power loss.
void check_goes_on(FakeFileSystem& files, const Snapshot& snapshot, LogStore& log,
                   Content content) {
  // No term of a forged record is above this one, and no index below that one is the last.
  const Term term(kLogOrdinalMax - 1);
  if (log.last_index().next().value >= kLogOrdinalMax) return;
  const bool voted = content.hard_state.term == term;
  content.hard_state = HardState{term, voted ? content.hard_state.vote : NodeId(3)};
  Write write;
  write.number = 1;
  write.hard_state = content.hard_state;
  write.entries = {{term, log.last_index().next(), EntryType::kNoop, Blob()}};
  content.entries.push_back(write.entries.front());
  const auto batch = log.append(std::vector<Write>{write});
  HF_CHECK(batch.ok(), "a log that opened takes a batch");
  files.power_loss();
  const auto again =
      must_open(files, snapshot, "a log that opened and was synced opens after a power loss");
  HF_CHECK(content_of(*again) == content, "what was synced is there after a power loss");
}

void recover(Input& input) {
  const SoundLog& sound = sound_log(input.byte());
  DamagedDisk disk(sound.copy(), kDirectory, kStore);
  Snapshot snapshot = sound.snapshot();
  if (snapshot) snapshot->received = input.flag();
  for (int i = 0; i < kDamagesMax && !input.empty(); ++i) disk.damage(input);
  FakeFileSystem& files = disk.files();
  const std::set<EntryFacts> verified = disk.verified_entries();
  const uint64_t operations = files.operations();
  const auto verdict =
      inspect_log(files, kDirectory, kDefaultGroup, kStore, InspectDetail::kRecords).verdict;
  auto log = open_log(files, snapshot);
  if (!log.ok()) return check_refused(files, snapshot, log.error(), verdict, operations);
  HF_CHECK(verdict != LogInspection::Verdict::kDamaged, "what is shown as damaged is refused");
  const Content content = content_of(**log);
  check_served(content, verified, (*log)->first_index());
  if ((*log)->recovered().discarded.empty()) {
    check_content(disk, sound, content);
  } else {
    check_discarded(content, *snapshot);
  }
  files.process_crash();
  const auto again = must_open(files, snapshot, "a log that opened opens again");
  HF_CHECK(content_of(*again) == content, "a second start finds the same");
  check_goes_on(files, snapshot, *again, content);
}

}  // namespace
}  // namespace holdfast::raft

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  holdfast::fuzz::Input input(data, size);
  holdfast::raft::recover(input);
  return 0;
}
