// Work of many clients that wait for time: next is the client that has had the least of it since
// the queue was last empty, so that one who asks for very much holds up nobody but itself (PROMISE
// 13). Start-time fair queueing: Goyal, Vin, Cheng, "Start-time Fair Queuing", SIGCOMM 1996. One
// thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/time.h"

namespace holdfast::server {

class FairQueue {
 public:
  /// What is in progress: from take() to charge().
  struct Taken {
    uint64_t number;
    uint64_t client;
  };

  bool empty() const { return turns_.empty(); }
  /// Works that wait.
  size_t size() const { return size_; }
  /// Of those, this client's.
  size_t size_of(uint64_t client) const {
    const auto at = clients_.find(client);
    return at == clients_.end() ? 0 : at->second.numbers.size() - at->second.next;
  }
  /// The work of one client is done in the order in which it was added.
  void add(uint64_t client, uint64_t number) {
    Client& c = clients_[client];
    c.numbers.push_back(number);
    ++size_;
    if (!std::exchange(c.placed, true)) place(client, c);
  }
  /// Not while it is empty. Others may be added before charge().
  Taken take() {
    const uint64_t client = std::get<2>(*turns_.begin());
    turns_.erase(turns_.begin());
    Client& c = clients_.at(client);
    now_ = c.start;
    --size_;
    return {c.numbers[c.next++], client};
  }
  /// It took so long.
  void charge(const Taken& taken, Duration took) {
    Client& c = clients_.at(taken.client);
    c.start += took;
    c.placed = c.next < c.numbers.size();
    if (2 * c.next >= c.numbers.size()) {
      c.numbers.erase(c.numbers.begin(), c.numbers.begin() + static_cast<ptrdiff_t>(c.next));
      c.next = 0;
    }
    if (c.placed) return place(taken.client, c);
    if (turns_.empty()) {
      clear();
    } else if (clients_.size() > forget_at_) {
      std::erase_if(clients_, [this](const auto& each) {
        return !each.second.placed && each.second.start <= now_;
      });
      forget_at_ = 2 * clients_.size() + kIdleKept;
    }
  }
  void clear() {
    clients_.clear();
    turns_.clear();
    now_ = Duration{0};
    size_ = 0;
    forget_at_ = kIdleKept;
  }

 private:
  struct Client {
    Duration start{0};              ///< what it has had, on the scale of now_
    std::vector<uint64_t> numbers;  ///< from `next` on
    size_t next = 0;
    bool placed = false;  ///< in turns_, or in progress
  };
  /// Clients without work that are remembered for what they have had.
  static constexpr size_t kIdleKept = 1'000;

  // One that had no work for a while has saved up nothing.
  void place(uint64_t client, Client& c) {
    c.start = std::max(c.start, now_);
    turns_.emplace(c.start, ++order_, client);
  }

  std::unordered_map<uint64_t, Client> clients_;              // its order is never observed
  std::set<std::tuple<Duration, uint64_t, uint64_t>> turns_;  ///< start, order of coming, client
  uint64_t order_ = 0;
  size_t size_ = 0;
  size_t forget_at_ = kIdleKept;  ///< so many clients: those that need not be remembered go
  Duration now_{0};               ///< start of the work taken last
};

}  // namespace holdfast::server
