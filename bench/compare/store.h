// What the profiles ask of another system, so that each profile is written once. Every call returns
// at once; the sink is told when it is done.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/net/loop.h"

namespace holdfast::bench {

class Store {
 public:
  /// Told of outcomes on the loop's thread; may call the store again from inside.
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void on_written(uint64_t /*tag*/) {}
    virtual void on_read(uint64_t /*tag*/) {}
    virtual void on_acquired(size_t /*client*/) {}
    virtual void on_released(size_t /*client*/) {}
    virtual void on_watching(size_t /*watcher*/) {}  ///< its watch stands
    virtual void on_changed(size_t /*watcher*/) {}   ///< what it watches was overwritten
    /// A lane is connected and its session open.
    virtual void on_ready(size_t /*lane*/) {}
    /// A lane's connection ended or a request of it was refused. By default that ends the bench.
    virtual void on_failed(size_t lane, const std::string& why);
  };

  virtual ~Store() = default;
  void set_sink(Sink* sink) { sink_ = sink; }

  /// Connects a lane anew; what was in flight on it is forgotten. Not from inside a callback.
  virtual void dial(size_t lane, const std::string& server) = 0;
  /// Makes what write() overwrites, one value a lane, and waits for it.
  virtual void prepare_values(size_t value_bytes) = 0;
  /// Makes the locks of `clients` clients, one each or a `shared` one, and waits for it.
  virtual void prepare_locks(size_t clients, bool shared) = 0;

  /// Overwrites the lane's value.
  virtual void write(size_t lane, uint64_t tag) = 0;
  /// Makes a key with a value as prepare_values() was told, which also sizes it; answered as
  /// write() is. It may be there already.
  virtual void make_key(size_t lane, size_t key, uint64_t tag) = 0;
  /// Linearizably, or what the lane's server has. Ends the bench if the key is not there.
  virtual void read(size_t lane, size_t key, bool linearizable, uint64_t tag) = 0;
  /// By the system's own recipe. A client's lane is its number modulo the lanes.
  virtual void acquire(size_t client) = 0;
  virtual void release(size_t client) = 0;

  /// Watches lane 0's value for the next time it is overwritten; where a watch goes on by itself,
  /// it stands already from the second call on. A watcher's lane is its number modulo the lanes
  /// after the first, which is the writer's.
  virtual void watch(size_t watcher) = 0;
  /// Ends what would end by itself later, as work of the servers in another run. The last call.
  virtual void end_sessions() {}

 protected:
  Sink& sink() { return *sink_; }
  static size_t lane_of_watcher(size_t watcher, size_t lanes) { return 1 + watcher % (lanes - 1); }

 private:
  Sink* sink_ = nullptr;
};

/// New in every run: what an earlier one left behind until its session or lease ends is in nobody's
/// way.
inline std::string lock_name_of_run(Clock& clock) {
  return "lock-" + std::to_string(clock.wall_unix_ms());
}

std::unique_ptr<Store> make_zookeeper(net::Loop& loop, size_t lanes);
std::unique_ptr<Store> make_etcd(net::Loop& loop, size_t lanes);

}  // namespace holdfast::bench
