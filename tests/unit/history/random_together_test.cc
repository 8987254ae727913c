// Histories of a server that is right: random clients that take one lock or several, whose sessions
// end by themselves, also in the entry of another's command. The checker must accept them all, and
// refuse them once a single answer is changed.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <vector>

#include "tests/unit/history/random.h"

namespace holdfast::history {
namespace {

constexpr std::array<const char*, 3> kPaths = {"/a", "/b", "/c"};

/// docs/locks.md in a few lines; every command is one revision.
class World {
 public:
  World(uint64_t seed, uint64_t clients) : random_(seed), clients_(clients) {}

  std::vector<Operation> run(int calls) {
    for (int i = 0; i < calls; ++i) step(random_.below(clients_.size()));
    for (Client& client : clients_) append(renews(client.session), client);
    return calls_.operations();
  }

 private:
  struct Client {
    uint64_t session = 0, sequence = 0;
    int64_t free_at = 0;  ///< its last call returned
    // Its acquire, or none:
    uint64_t acquire = 0, holder = 0, token = 0;
    bool told = false;  ///< that it holds them
    int64_t wait_ms = 0;
    std::vector<Wanted> locks;
  };
  struct Lock {
    std::vector<Client*> holders, queue;
  };

  void append(Said said, Client& client) {
    calls_.append(std::move(said), revision_, client.free_at);
  }

  void step(size_t number) {
    Client& client = clients_[number];
    calls_.wait_for(client.free_at);
    if (client.session == 0) client.session = ++sessions_;
    if (random_.below(4) == 0) return describe(client);
    const bool fresh = client.acquire == 0;
    if (!fresh && random_.below(3) == 0) return answer(client);
    begin(client);
    if (fresh) return acquire(client);
    if (!client.told) return random_.below(3) == 0 ? cancel(client) : wait(client);
    release(client);
  }

  /// A new entry, with which the session of another client may end.
  void begin(const Client& caller) {
    ++revision_;
    Client& other = clients_[random_.below(clients_.size())];
    if (&other == &caller || other.session == 0 || random_.below(4) != 0) return;
    forget(other);
    other.session = ++sessions_;
    other.sequence = 0;
  }

  void forget(Client& client) {
    for (auto& [path, lock] : locks_) {
      std::erase(lock.holders, &client);
      std::erase(lock.queue, &client);
    }
    client.acquire = client.holder = client.token = 0;
    client.told = false;
    client.locks.clear();
  }

  void acquire(Client& client) {
    client.acquire = ++client.sequence;
    client.holder = revision_;
    client.wait_ms = random_.below(5) == 0 ? 0 : -1;
    const Mode mode = random_.below(3) == 0 ? Mode::kExclusive : Mode::kShared;
    const size_t all = random_.below(3) == 0 ? kPaths.size() : 1 + random_.below(2);
    const size_t first = random_.below(kPaths.size());
    for (size_t i = 0; i < all; ++i) {
      client.locks.push_back({.path = kPaths[(first + i) % kPaths.size()], .mode = mode});
      locks_[client.locks.back().path].queue.push_back(&client);
    }
    settle();
    answer(client);
    if (client.token == 0 && client.wait_ms == 0) forget(client);
  }

  bool heads_and_fits(const Client& client) {
    return std::ranges::all_of(client.locks, [&](const Wanted& wanted) {
      const Lock& lock = locks_[wanted.path];
      const bool shared = wanted.mode == Mode::kShared && !lock.holders.empty() &&
                          lock.holders.front()->locks.front().mode == Mode::kShared;
      return lock.queue.front() == &client && (lock.holders.empty() || shared);
    });
  }

  /// Until nobody else gets anything.
  void settle() {
    for (bool more = true; more;) {
      more = std::ranges::any_of(locks_, [&](auto& each) {
        return !each.second.queue.empty() && grant(*each.second.queue.front());
      });
    }
    for (auto& [path, lock] : locks_) {
      std::erase_if(lock.queue, [](const Client* client) { return client->wait_ms == 0; });
    }
  }

  bool grant(Client& client) {
    if (!heads_and_fits(client)) return false;
    client.token = revision_;
    for (const Wanted& wanted : client.locks) {
      Lock& lock = locks_[wanted.path];
      lock.queue.erase(lock.queue.begin());
      lock.holders.push_back(&client);
    }
    return true;
  }

  void answer(Client& client) {
    const Arguments asked = {.session = client.session,
                             .sequence = client.acquire,
                             .path = client.locks.front().path,
                             .mode = client.locks.front().mode,
                             .wait_ms = client.wait_ms,
                             .locks = client.locks};
    const bool alone = client.locks.size() == 1;
    Said said = history::said(alone ? Call::kAcquire : Call::kAcquireAll, asked);
    client.told = client.token != 0;
    if (client.told) return append(std::move(said).granted(client.holder, client.token), client);
    if (client.wait_ms == 0) return append(std::move(said).refused(Reason::kBusy), client);
    append(std::move(said).waiting(client.holder, 0), client);
  }

  /// The entry has no command for any lock.
  void wait(Client& client) {
    settle();
    answer(client);
  }

  void cancel(Client& client) {
    Said said = cancels(client.session, ++client.sequence, client.acquire);
    said.op.arguments.path = client.locks.back().path;
    client.told = client.token != 0;
    if (client.told) {
      settle();
      return append(std::move(said).granted(client.holder, client.token), client);
    }
    forget(client);
    settle();
    append(std::move(said).refused(Reason::kCancelled), client);
  }

  void release(Client& client) {
    Said said = releases(client.session, ++client.sequence, client.holder);
    if (client.locks.size() > 1) {
      said.op.call = Call::kReleaseAll;
    } else {
      said.op.arguments.path = client.locks.front().path;
    }
    forget(client);
    settle();
    append(std::move(said).released(), client);
  }

  void describe(Client& client) {
    Said said = describes();
    said.op.arguments.path = kPaths[random_.below(kPaths.size())];
    const auto seen = [](const std::vector<Client*>& list) {
      std::vector<Seen> all;
      for (const Client* each : list) {
        all.push_back({.holder_id = each->holder, .session = each->session, .token = each->token});
      }
      return all;
    };
    const Lock& lock = locks_[said.op.arguments.path];
    append(std::move(said).shows(seen(lock.holders), seen(lock.queue)), client);
  }

  SplitMix random_;
  std::vector<Client> clients_;  ///< never moved
  std::map<std::string, Lock> locks_;
  Overlapping calls_{random_};
  uint64_t revision_ = 1, sessions_ = 0;
};

TEST(RandomTogether, OverlappingCallsOfARightServerAreAccepted) {
  expect_accepted(200, [](uint64_t seed) { return World(seed, 7).run(250); });
}

TEST(RandomTogether, LongHistoriesCostAFewStepsPerOperation) {
  expect_steps_each(10, World(7, 12).run(4'000));
}

TEST(RandomTogether, OneDescriptionWithItsWaitersInAnotherOrderIsRefused) {
  expect_refused([](uint64_t seed) { return World(seed, 7).run(120); },
                 [](const Operation& op) { return op.answer.waiters.size() > 1; },
                 [](Operation& op) { std::swap(op.answer.waiters[0], op.answer.waiters[1]); });
}

}  // namespace
}  // namespace holdfast::history
