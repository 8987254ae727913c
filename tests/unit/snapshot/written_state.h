// A state machine under random entries, whose row changes go to a snapshot on a real disk.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "coordinator/rsm/state_machine.h"
#include "coordinator/snapshot/loader.h"
#include "coordinator/snapshot/row_span.h"
#include "coordinator/snapshot/store.h"
#include "coordinator/snapshot/writer.h"
#include "tests/unit/rsm/workload.h"

namespace holdfast::snapshot {

/// A directory that goes with its owner.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "snapshot-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// Large values below "/big" in the first of two intervals of the log, removed in the entry `gone`.
struct Bulk {
  uint64_t first = 0;
  uint64_t last = 0;
  uint64_t gone = 0;
  size_t bytes = 20'000;

  std::optional<std::string> entry(uint64_t index) const {
    command::CommandHeader header;
    header.level = rsm::kFeatureLevel;
    rsm::CommandEncoder encoder;
    if (index == gone) {
      header.kind = command::CommandKind::REMOVE_KEY;
      command::RemoveKey body;
      body.path = "/big";
      body.recursive = true;
      return std::string(encoder.entry_of(header, body).view());
    }
    if (index < first || index > last) return std::nullopt;
    header.kind = command::CommandKind::PUT_KEY;
    command::PutKey body;
    body.path = "/big/" + std::to_string(index);
    body.value = std::string(bytes, 'b');
    body.makeParents = true;
    return std::string(encoder.entry_of(header, body).view());
  }
};

class WrittenState {
 public:
  explicit WrittenState(uint64_t seed, Bulk bulk = {}) : workload_(seed), bulk_(bulk) {}

  void apply(int entries) {
    for (int i = 0; i < entries; ++i) {
      ++index_;
      effects_.clear();
      const auto special = bulk_.entry(index_);
      const std::string entry = special ? *special : workload_.next(index_, term().value);
      machine_.apply(LogIndex(index_), term(), entry, effects_);
      span_.add(machine_.row_changes(), machine_.applied());
    }
  }
  SnapshotHead head() const {
    return {.cluster = ClusterId(77),
            .node = NodeId(3),
            .applied = machine_.applied(),
            .applied_term = term(),
            .digest = machine_.digest(),
            .written_unix_ms = 1'700'000'000'000,
            .genesis = std::string("\0genesis", 8)};
  }
  /// What changed since the last call.
  Span take_span() { return {std::exchange(span_, RowSpan()), head()}; }
  Status write(SnapshotWriter& writer) {
    const Span span = take_span();
    return writer.write(span.rows.latest(), span.head);
  }
  rsm::StateMachine& machine() { return machine_; }
  rsm::Workload& workload() { return workload_; }

 private:
  Term term() const { return Term(2 + index_ / 300); }

  rsm::Workload workload_;
  const Bulk bulk_;
  rsm::StateMachine machine_;
  rsm::Effects effects_;
  RowSpan span_;
  uint64_t index_ = 0;
};

/// A machine from the file at `path` alone, or why not.
inline Result<std::unique_ptr<rsm::StateMachine>> load(const std::string& path,
                                                       const std::string& vfs = {}) {
  auto database = Database::open(path, Database::Mode::kModify, vfs);
  if (!database.ok()) return database.error();
  auto machine = std::make_unique<rsm::StateMachine>();
  const auto head = load_database(
      *database,
      [&](RowTable table, uint64_t id, std::string_view row) {
        return machine->load(table, id, row);
      },
      [](uint64_t) {});
  if (!head.ok()) return head.error();
  if (Status whole = machine->finish_load(); !whole.ok()) return whole.error();
  if (head->digest != machine->digest()) return Error{ErrorCode::kCorrupt, "another digest"};
  return machine;
}

}  // namespace holdfast::snapshot
