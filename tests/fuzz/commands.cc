// Replicated commands against the state machine. Whatever bytes a committed entry holds, every
// replica comes to the same verdict, the same effects and the same state; and the rows it wrote are
// all of that state. Commands are drawn from the unit tests' workload by a seed of the input, which
// then edits them: so the fuzzer starts from sessions, queues and grants instead of from nothing.
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "coordinator/rsm/state_machine.h"
#include "lockmgr/lock_table.h"
#include "session/session_table.h"
#include "tests/fuzz/input.h"
#include "tests/unit/rsm/kept_rows.h"
#include "tests/unit/rsm/workload.h"

namespace holdfast::rsm {
namespace {

using fuzz::Input;

constexpr uint64_t kEntriesMax = 160;

class Replicas {
 public:
  explicit Replicas(Input& input) : input_(input), workload_(input.number()) {}

  void run() {
    while (!input_.empty() && index_ < kEntriesMax) step();
    reload();
    HF_CHECK(one_.check_invariants().empty(), one_.check_invariants().c_str());
  }

 private:
  void step() {
    switch (input_.byte() % 8) {
      case 0:
        return plain(1 + input_.below(64));
      case 1:
        return skip();
      case 2:
        ++term_;
        return;
      case 3:
        return reload();
      case 4:
        return apply(std::string(input_.bytes(input_.byte())));
      case 5:
        return apply(foreign_body());
      default:
        return apply(edited());
    }
  }

  void plain(uint64_t count) {
    for (uint64_t i = 0; i < count && index_ < kEntriesMax; ++i) {
      apply(workload_.next(index_ + 1, term_));
    }
  }

  /// A command of the workload with up to three bytes changed, perhaps cut short.
  std::string edited() {
    std::string payload = workload_.next(index_ + 1, term_);
    const uint8_t how = input_.byte();
    for (int i = 0; i < how % 4; ++i) {
      const uint64_t at = input_.below(payload.size());
      payload[at] = static_cast<char>(input_.byte());
    }
    if (how >= 128) payload.resize(payload.size() - input_.below(payload.size()));
    return payload;
  }

  /// A sound header before bytes of the input's.
  std::string foreign_body() {
    command::CommandHeader header;
    header.level = kFeatureLevel;
    header.kind = static_cast<command::CommandKind::type>(input_.byte() % 24);
    header.clusterTimeMs = static_cast<int64_t>(input_.number());
    header.decidedTerm = static_cast<int64_t>(term_);
    header.sessionId = static_cast<int64_t>(input_.number());
    header.sequence = static_cast<int64_t>(input_.number());
    for (uint64_t i = input_.byte() % 4; i > 0; --i) {
      header.acknowledged.emplace_back();
      header.acknowledged.back().first = static_cast<int64_t>(input_.number());
      header.acknowledged.back().last = static_cast<int64_t>(input_.number());
    }
    return std::string(encoder_.entry(header, input_.bytes(input_.byte())).view());
  }

  void skip() {
    ++index_;
    one_.skip(LogIndex(index_));
    two_->skip(LogIndex(index_));
    rows_.take(one_.row_changes());
  }

  void apply(const std::string& payload) {
    const LogIndex index(index_ + 1);
    const Digest before = one_.digest();
    effects_one_.clear();
    effects_two_.clear();
    const ApplyStatus status = one_.apply(index, Term(term_), payload, effects_one_);
    HF_CHECK(two_->apply(index, Term(term_), payload, effects_two_) == status, "one verdict");
    compare();
    if (status == ApplyStatus::kNeedsUpgrade) {
      HF_CHECK(one_.digest() == before && effects_one_.empty(), "nothing changes before a stop");
      return;
    }
    index_ = index.value;
    rows_.take(one_.row_changes());
  }

  void compare() {
    HF_CHECK(effects_one_.size() == effects_two_.size(), "as many effects on both");
    for (size_t i = 0; i < effects_one_.size(); ++i) {
      HF_CHECK(effects_one_[i] == effects_two_[i], "the same effects on both");
    }
    HF_CHECK(one_.digest() == two_->digest(), "the same state on both");
    HF_CHECK(one_.next_due_ms() == two_->next_due_ms(), "the same timers on both");
    HF_CHECK(one_.applied() == two_->applied(), "the same index on both");
  }

  /// The second replica starts anew from rows: what it decoded before must not matter.
  void reload() {
    two_ = rows_.load();
    effects_one_.clear();
    effects_two_.clear();
    compare();
  }

  Input& input_;
  Workload workload_;
  CommandEncoder encoder_;
  StateMachine one_{StateMachine::Options{.hash_seed = 1}};
  std::unique_ptr<StateMachine> two_ =
      std::make_unique<StateMachine>(StateMachine::Options{.hash_seed = 2});
  KeptRows rows_;
  Effects effects_one_;
  Effects effects_two_;
  uint64_t index_ = 0;
  uint64_t term_ = 2;
};

}  // namespace
}  // namespace holdfast::rsm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  holdfast::fuzz::Input input(data, size);
  holdfast::rsm::Replicas(input).run();
  return 0;
}
