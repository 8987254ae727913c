// Histories of a key tree that is right: random clients whose calls overlap, some of which are
// never answered. The checker must accept them all, and refuse them once a single answer is
// changed.
#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "tests/unit/history/key_story.h"
#include "tests/unit/history/random.h"

namespace holdfast::history {
namespace {

/// A few keys; every write is one revision, and has a value of its own.
class Keys {
 public:
  explicit Keys(uint64_t seed) : random_(seed) {}

  std::vector<Operation> run(int calls) {
    for (int i = 0; i < calls; ++i) step(1 + random_.below(4));
    return operations_;
  }

 private:
  void append(Said said) {
    clock_ += 10;
    const auto early = static_cast<int64_t>(random_.below(30));
    const auto late = static_cast<int64_t>(random_.below(30));
    operations_.push_back(std::move(said).at(clock_ - early, clock_ + 1 + late).op);
  }

  void step(uint64_t client) {
    const std::string path = "/k" + std::to_string(random_.below(3));
    switch (random_.below(5)) {
      case 0:
        return put(client, path);
      case 1:
        return remove(client, path);
      case 2:
        return move(client);
      case 3:
        return append(shows(gets(path), revision_, row(path)));
      default:
        return append(shows(list_keys("/"), revision_, rows()));
    }
  }

  void put(uint64_t client, const std::string& path) {
    const bool blind = random_.below(2) == 0;
    const uint64_t version = keys_.contains(path) ? keys_[path].version : 0;
    const int64_t expected = blind ? 0 : version == 0 ? -1 : static_cast<int64_t>(version);
    const std::string value = std::to_string(++revision_);
    Said said = puts(client, ++sequence_, value, expected, path);
    if (random_.below(12) == 0) return lose(std::move(said), path, value);
    write(path, value);
    append(made(std::move(said), revision_, keys_[path].version));
  }

  /// Never answered: it happened or not.
  void lose(Said said, const std::string& path, const std::string& value) {
    if (random_.below(2) == 0) write(path, value);
    clock_ += 10;
    operations_.push_back(std::move(said).at(clock_ - 5, kNever).op);
  }

  void remove(uint64_t client, const std::string& path) {
    Said said = removes(client, ++sequence_);
    said.op.arguments.writes[0].path = path;
    ++revision_;
    if (keys_.erase(path) == 0) return append(std::move(said).rev(revision_).error("NO_KEY"));
    append(removed(std::move(said), revision_));
  }

  void move(uint64_t client) {
    const bool there = keys_.contains("/k0");
    const std::string value = std::to_string(++revision_);
    Said said =
        transacts(client, ++sequence_, {{.target = Target::kExists, .path = "/k0", .number = 1}},
                  {{.path = "/k0", .value = value}, {.path = "/k1", .value = value}});
    if (!there) return append(failed(std::move(said), revision_));
    write("/k0", value);
    write("/k1", value);
    append(wrote(std::move(said), revision_,
                 {{.version = keys_["/k0"].version}, {.version = keys_["/k1"].version}}));
  }

  void write(const std::string& path, const std::string& value) {
    SeenKey& there = keys_[path];
    if (there.version == 0) there.create_revision = revision_;
    there = {path, value, there.version + 1, there.create_revision, revision_, 0};
  }

  std::vector<SeenKey> row(const std::string& path) const {
    const auto at = keys_.find(path);
    return at == keys_.end() ? std::vector<SeenKey>() : std::vector{at->second};
  }
  std::vector<SeenKey> rows() const {
    std::vector<SeenKey> all;
    for (const auto& [path, there] : keys_) all.push_back(there);
    return all;
  }

  SplitMix random_;
  std::map<std::string, SeenKey> keys_;
  std::vector<Operation> operations_;
  uint64_t revision_ = 1, sequence_ = 0;
  int64_t clock_ = 1000;
};

TEST(RandomKeys, OverlappingCallsOfARightTreeAreAccepted) {
  expect_accepted(100, [](uint64_t seed) { return Keys(seed).run(300); });
}

TEST(RandomKeys, LongHistoriesCostAboutAStepPerOperation) {
  expect_steps_each(10, Keys(7).run(20'000));
}

/// The last list that shows a key is changed.
void expect_list_refused(const std::function<void(SeenKey&)>& lie) {
  expect_refused(
      [](uint64_t seed) { return Keys(seed).run(100); },
      [](const Operation& op) { return op.call == Call::kListKeys && !op.answer.keys.empty(); },
      [&](Operation& op) { lie(op.answer.keys.back()); });
}

TEST(RandomKeys, OneReadOfAnotherStateIsRefused) {
  expect_list_refused([](SeenKey& key) { key.value = "0"; });
  expect_list_refused([](SeenKey& key) { ++key.version; });
  expect_list_refused([](SeenKey& key) { --key.create_revision; });
  expect_list_refused([](SeenKey& key) { key.owner = 3; });
}

}  // namespace
}  // namespace holdfast::history
