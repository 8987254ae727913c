// The room beside its naive twin: random entries, registrations from the past, now and the future,
// deliveries with tiny budgets that are lost or acknowledged late, clients that leave and come back
// elsewhere, and a history that forgets quickly. The twin keeps every event for ever and a list for
// every watch; it says who has news, and each client judges what it is told (client_model.h).
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>

#include "base/entropy.h"
#include "tests/unit/watch/client_model.h"
#include "tests/unit/watch/world.h"

namespace holdfast::watch {
namespace {

const std::vector<std::string> kPaths = {"/",   "/a",    "/a/b", "/a/b/c", "/a/b/d",   "/a/c",
                                         "/a!", "/a!/b", "/b",   "/b/a",   "/b/b/a/a", "/b/b/a/b"};

/// What the server should know of one watch, kept as a list of all its events.
struct Cursor {
  uint64_t through = 0;
  uint64_t part = 0;
  bool resync = false;
};

struct ClientWatch {
  std::unique_ptr<WatchModel> model;
  Cursor handed, acknowledged;
};

struct Delivery {
  uint64_t number = 0;
  Collected collected;
  Lines lines;
};

struct Client {
  OwnerId id;
  std::map<uint64_t, ClientWatch> watches;  ///< by watch id
  Delivery on_its_way;                      ///< made, but not taken up yet; number 0: none
  uint64_t acknowledged = 0;                ///< the last delivery it has taken up
  uint64_t outstanding = 0;
  bool named = false;  ///< knows that there is something to collect
};

class Twins {
 public:
  explicit Twins(uint64_t seed) : random_(seed), watches_({.hash_seed = seed}) {
    for (uint64_t id = 1; id <= 4; ++id) clients_.push_back({.id = OwnerId(id)});
    bounds();
    world_.append(watches_, {});  // so that no client has seen everything up to zero, "from now on"
  }

  void step() {
    switch (pick(12)) {
      case 0:
      case 1:
      case 2:
        return append();
      case 3:
        return add_watch();
      case 4:
        return pick(3) == 0 ? unwatch() : take_woken(1 + pick(3));
      case 5:
        return pick(20) == 0 ? move_elsewhere() : take_woken(1 + pick(30));
      case 6:
        return pick(15) == 0 ? bounds() : rewind();
      default:
        return poll(client(), 1 + pick(6), pick(60));
    }
  }

  void check() {
    ASSERT_EQ(watches_.check_invariants(), "");
    for (Client& client : clients_) {
      if (pick(4) == 0) {  // asking looks at all of its watches
        ASSERT_EQ(watches_.has_news(client.id), has_news(client)) << "client " << client.id;
      }
      ASSERT_EQ(watches_.watches_of(client.id), client.watches.size());
    }
  }

  /// Everything is told: all views are the present state.
  void settle() {
    take_woken(1'000'000);
    EXPECT_FALSE(watches_.waking());
    for (Client& client : clients_) {
      EXPECT_TRUE(!has_news(client) || client.named) << "client " << client.id << " sleeps";
      for (int i = 0; i < 2'000 && (client.outstanding != 0 || has_news(client)); ++i) {
        poll(client, 5, 100, false);
      }
      poll(client, 5, 100, false);
      EXPECT_FALSE(has_news(client));
      for (auto& [id, watch] : client.watches) {
        EXPECT_GE(watch.model->last(), world_.last()) << "watch " << id;
      }
    }
  }

  std::map<Kind, uint64_t> told;  ///< lines that clients have taken up
  uint64_t lost = 0, parts = 0, overtaken = 0;

 private:
  uint64_t pick(uint64_t below) { return random_.below(below); }
  const std::string& path() { return kPaths[pick(kPaths.size())]; }
  Client& client() { return clients_[pick(clients_.size())]; }

  void bounds() {
    watches_.set_bounds({.bytes = pick(3) == 0 ? 2'000u : 1'000'000u, .events = 1 + pick(40)});
  }

  Change change() {
    const Space space = pick(3) == 0 ? Space::kLocks : Space::kKeys;
    const bool keys = space == Space::kKeys;
    const std::string at = path();
    const bool present = world_.states.back()[number_of(space)].contains(at);
    if (!present) return {space, keys ? EventType::kCreated : EventType::kGranted, at, value()};
    if (pick(2) == 0) return {space, keys ? EventType::kRemoved : EventType::kTenureEnded, at, ""};
    return {space, keys ? EventType::kChanged : EventType::kGranted, at, value()};
  }
  std::string value() {
    return std::to_string(world_.last() + 1) + std::string(pick(8) == 0 ? 40 : 0, '.');
  }

  void append() {
    std::set<std::pair<Space, std::string>> once;  // the state within an entry is not looked at
    std::vector<Change> changes;
    for (uint64_t n = pick(10) == 0 ? 12 : pick(4); n > 0; --n) {
      Change next = change();
      if (once.insert({next.space, next.path}).second) changes.push_back(std::move(next));
    }
    world_.append(watches_, std::move(changes));
  }

  void add_watch() {
    Client& owner = client();
    WatchSpec spec;
    const std::string at = path();
    spec.path = at;
    spec.scope = static_cast<Scope>(pick(3));
    spec.spaces = static_cast<uint8_t>(1 + pick(3));
    if (pick(4) == 0) spec.types = bit(EventType::kRemoved) | bit(EventType::kGranted);
    spec.with_values = pick(4) != 0;
    const uint64_t since[] = {0, world_.last(), pick(world_.last() + 1), world_.last() + pick(9)};
    spec.since = Revision(since[pick(4)]);
    const auto model = std::make_unique<WatchModel>(world_, spec, at,
                                                    spec.since ? spec.since.value : world_.last());
    enroll(owner, *model);
  }

  void enroll(Client& owner, const WatchModel& model) {
    const uint64_t limit = 6;
    const Revision floor = watches_.history().floor();
    const Result<Registered> made = watches_.watch(owner.id, model.spec(), limit);
    ASSERT_EQ(made.ok(), owner.watches.size() < limit);
    if (!made.ok()) return;
    const uint64_t since = model.last() == 0 ? world_.last() : model.last();
    EXPECT_EQ(made->since, Revision(since));
    EXPECT_EQ(made->resync, since < floor.value);
    ClientWatch& added = owner.watches[made->id.value];
    added.model = std::make_unique<WatchModel>(model);
    added.handed = added.acknowledged = {since, 0, made->resync};
  }

  void unwatch() {
    Client& owner = client();
    if (owner.watches.empty()) return;
    const auto at = std::next(owner.watches.begin(), static_cast<int>(pick(owner.watches.size())));
    EXPECT_TRUE(watches_.unwatch(owner.id, WatchId(at->first)));
    EXPECT_FALSE(watches_.unwatch(owner.id, WatchId(at->first)));
    owner.watches.erase(at);
    forget_if_gone(owner);
  }

  // The channel of this server is gone; the client comes back and registers what it had.
  void move_elsewhere() {
    Client& owner = client();
    std::vector<WatchModel> models;
    for (const auto& [id, watch] : owner.watches) {
      models.push_back(watch.model->moved_elsewhere());
    }
    watches_.remove_owner(owner.id);
    owner.watches.clear();
    owner.on_its_way = {};
    forget_if_gone(owner);
    for (const WatchModel& model : models) enroll(owner, model);
  }

  void forget_if_gone(Client& owner) {
    if (!has_news(owner)) owner.named = false;
    if (owner.watches.empty()) owner.outstanding = 0;
  }

  void take_woken(size_t max) {
    std::vector<OwnerId> woken;
    watches_.take_woken(max, woken);
    EXPECT_LE(woken.size(), max);
    for (const OwnerId id : woken) {
      Client& owner = clients_[id.value - 1];
      EXPECT_FALSE(owner.named) << "client " << id << " is named again";
      EXPECT_TRUE(has_news(owner)) << "client " << id << " has nothing";
      owner.named = true;
    }
  }

  // A call came that does not acknowledge the delivery under way.
  void rewind() {
    Client& owner = client();
    if (owner.outstanding == 0 || owner.acknowledged == owner.outstanding) return;
    if (owner.on_its_way.number != 0) return;
    watches_.rewind(owner.id);
    roll_back(owner);
    owner.named = owner.named || has_news(owner);
  }

  void roll_back(Client& owner) {
    if (owner.outstanding == 0) return;
    for (auto& [id, watch] : owner.watches) watch.handed = watch.acknowledged;
    owner.outstanding = 0;
  }

  bool has_news(const Client& owner) const {
    return std::any_of(owner.watches.begin(), owner.watches.end(), [this](const auto& entry) {
      const Cursor& cursor = entry.second.handed;
      return cursor.resync || world_.next_group(entry.second.model->spec(), cursor.through) != 0;
    });
  }

  void poll(Client& owner, size_t entries, size_t bytes, bool lossy = true) {
    if (owner.on_its_way.number != 0) take_up(owner, std::exchange(owner.on_its_way, {}));
    const bool took = owner.outstanding != 0 && owner.acknowledged == owner.outstanding;
    EXPECT_EQ(watches_.acknowledge(owner.id, owner.acknowledged), took);
    if (took) {
      for (auto& [id, watch] : owner.watches) watch.acknowledged = watch.handed;
      owner.outstanding = 0;
    } else {
      roll_back(owner);
    }
    Recorder recorder(watches_.history());
    Delivery delivery{++deliveries_, {}, {}};
    delivery.collected =
        watches_.collect({owner.id, deliveries_, bytes, entries}, world_, recorder);
    delivery.lines = std::move(recorder.lines);
    follow(owner, delivery);
    owner.named = owner.named && has_news(owner);
    if (delivery.collected.more) owner.named = true;
    if (lossy && pick(4) == 0) {
      ++lost;
    } else if (lossy && pick(2) == 0) {
      owner.on_its_way = delivery;
    } else {
      take_up(owner, delivery);
    }
  }

  // What the server has now handed out, from the delivery itself; and its form.
  void follow(Client& owner, const Delivery& delivery) {
    const bool had_news = has_news(owner);
    EXPECT_EQ(delivery.lines.empty(), !had_news);
    uint64_t entries = 0;
    std::pair<uint64_t, uint64_t> before;
    for (const Line& line : delivery.lines) {
      ASSERT_TRUE(owner.watches.contains(line.watch));
      entries += line.kind == Kind::kGroup ? line.changes.size() : 1;
      Cursor& cursor = owner.watches.at(line.watch).handed;
      if (line.kind == Kind::kGroup && !cursor.resync) {
        const std::pair<uint64_t, uint64_t> here{line.revision, line.watch};
        EXPECT_LT(before, here) << "not in revision order over the watches";
        before = here;
        cursor.through = line.complete ? line.revision : cursor.through;
        if (!line.complete) ++parts;
      } else if (line.kind == Kind::kBegin) {
        if (std::exchange(cursor.resync, true)) ++overtaken;
      } else if (line.kind == Kind::kEnd) {
        EXPECT_EQ(line.revision, world_.last());
        cursor.resync = false;
        cursor.through = line.revision;
      }
    }
    EXPECT_EQ(delivery.collected.entries, entries);
    EXPECT_EQ(delivery.collected.more, has_news(owner));
    if (!delivery.lines.empty()) owner.outstanding = delivery.number;
  }

  void take_up(Client& owner, const Delivery& delivery) {
    owner.acknowledged = delivery.number;
    for (const Line& line : delivery.lines) {
      ++told[line.kind];
      const auto at = owner.watches.find(line.watch);  // it may be gone since
      if (at != owner.watches.end()) at->second.model->take(line);
    }
    if (!delivery.collected.progress) return;
    for (auto& [id, watch] : owner.watches) {
      EXPECT_FALSE(watch.model->resyncing());
      if (id <= delivery.collected.newest_watch.value) {
        watch.model->progress(delivery.collected.progress.value);
      }
    }
  }

  SplitMix random_;
  World world_;
  Watches watches_;
  std::vector<Client> clients_;
  uint64_t deliveries_ = 0;
};

class TwinsTest : public ::testing::TestWithParam<uint64_t> {};

TEST_P(TwinsTest, AgreeOverALongRandomRun) {
  Twins twins(GetParam());
  for (int round = 0; round < 8; ++round) {
    for (int i = 0; i < 250; ++i) {
      twins.step();
      twins.check();
      ASSERT_FALSE(HasFailure()) << "seed " << GetParam() << ", step " << round * 250 + i;
    }
    twins.settle();
    ASSERT_FALSE(HasFailure()) << "seed " << GetParam() << ", round " << round;
  }
  for (const Kind kind : {Kind::kGroup, Kind::kBegin, Kind::kItem, Kind::kEnd}) {
    EXPECT_GT(twins.told[kind], 10u) << static_cast<int>(kind);
  }
  EXPECT_GT(twins.lost, 50u);
  EXPECT_GT(twins.parts, 0u);
  EXPECT_GT(twins.overtaken, 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, TwinsTest, ::testing::Range<uint64_t>(1, 41));

}  // namespace
}  // namespace holdfast::watch
