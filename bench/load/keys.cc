// puts, gets, keys: writes and reads of keys, pipelined.
#include <algorithm>
#include <cstdio>

#include "bench/load/pipeline.h"

namespace holdfast::bench {
namespace {

using PutLane = Pipeline<client::PutKey>::Lane;
using GetLane = Pipeline<client::GetKey>::Lane;
using RemoveLane = Pipeline<client::RemoveKey>::Lane;

constexpr size_t kKeysPerFolder = 1'000;

/// The paths of a run: a thousand keys a folder, below one top of its own.
class Paths {
 public:
  Paths(std::string top, int count) : top_(std::move(top)), count_(static_cast<size_t>(count)) {}
  const std::string& top() const { return top_; }
  size_t count() const { return count_; }
  size_t folders() const { return (count_ + kKeysPerFolder - 1) / kKeysPerFolder; }
  std::string folder(size_t number) const { return top_ + "/" + std::to_string(number); }
  /// Into `path`, whose memory is used again.
  void write(size_t key, std::string& path) const {
    char name[32];
    const int size =
        std::snprintf(name, sizeof name, "/%zu/%03zu", key / kKeysPerFolder, key % kKeysPerFolder);
    path.assign(top_).append(name, static_cast<size_t>(size));
  }
  /// Another one each time, with no order.
  size_t any() { return mix_.next() % count_; }

 private:
  std::string top_;
  size_t count_;
  SplitMix mix_{7};
};

/// Creates every key once.
class FillLoad final : public Pipeline<client::PutKey> {
 public:
  FillLoad(Bench& bench, std::vector<Lane> lanes, int outstanding, const Paths& paths)
      : Pipeline(bench, std::move(lanes), outstanding), paths_(paths) {}

 private:
  bool prepare(Lane& lane) override {
    if (next_ == paths_.count()) return false;
    paths_.write(next_++, lane.request.path);
    return true;
  }
  const Paths& paths_;
  size_t next_ = 0;
};

/// Writes keys in no order.
class PutLoad final : public Pipeline<client::PutKey> {
 public:
  PutLoad(Bench& bench, std::vector<Lane> lanes, int outstanding, Paths& paths)
      : Pipeline(bench, std::move(lanes), outstanding), paths_(paths) {}

 private:
  bool prepare(Lane& lane) override {
    paths_.write(paths_.any(), lane.request.path);
    return true;
  }
  Paths& paths_;
};

/// Reads keys in no order.
class GetLoad final : public Pipeline<client::GetKey> {
 public:
  GetLoad(Bench& bench, std::vector<Lane> lanes, int outstanding, Paths& paths)
      : Pipeline(bench, std::move(lanes), outstanding), paths_(paths) {}

 private:
  bool prepare(Lane& lane) override {
    paths_.write(paths_.any(), lane.request.path);
    return true;
  }
  void answered(const Lane& lane, const api::GetResult& result, Instant) override {
    if (!result.found) fail(lane.request.path + " is not found");
  }
  Paths& paths_;
};

/// Removes a folder with all its keys per call, the top last.
class ClearLoad final : public Pipeline<client::RemoveKey> {
 public:
  ClearLoad(Bench& bench, std::vector<Lane> lanes, const Paths& paths)
      : Pipeline(bench, std::move(lanes), 1), paths_(paths) {}

 private:
  bool prepare(Lane& lane) override {
    if (next_ > paths_.folders()) return false;
    lane.request.path = next_ == paths_.folders() ? paths_.top() : paths_.folder(next_);
    lane.request.recursive = true;
    ++next_;
    return true;
  }
  const Paths& paths_;
  size_t next_ = 0;
};

/// What the three profiles share: connections to the leader with a session each, and the keys.
class KeyBench {
 public:
  explicit KeyBench(Bench& bench)
      : bench_(bench),
        connections_(bench.dial(std::min(parameters().connections, parameters().outstanding))),
        sessions_(bench.open_sessions(connections_, static_cast<int>(connections_.size()))),
        paths_("/bench-" + std::to_string(sessions_[0].context.sessionId), parameters().keys) {}

  Paths& paths() { return paths_; }
  void fill() {
    constexpr int kInFlight = 256;
    progress("creating " + std::to_string(paths_.count()) + " keys");
    FillLoad load(bench_, put_lanes(true), kInFlight, paths_);
    load.start();
    load.finish();
  }
  void clear() {
    RemoveLane lane{connections_[0], {}, {}};
    ClearLoad load(bench_, {lane}, paths_);
    load.start();
    load.finish();
  }
  /// A session's numbers go on from one load to the next, so each has sessions of its own.
  std::vector<PutLane> put_lanes(bool make_parents) {
    const auto sessions = bench_.open_sessions(connections_, static_cast<int>(connections_.size()));
    std::vector<PutLane> lanes;
    for (size_t i = 0; i < connections_.size(); ++i) {
      PutLane lane{connections_[i], sessions[i], {}};
      lane.request.value.assign(static_cast<size_t>(parameters().value_bytes), 'v');
      lane.request.makeParents = make_parents;
      lanes.push_back(std::move(lane));
    }
    return lanes;
  }
  nlohmann::json puts() {
    PutLoad load(bench_, put_lanes(false), parameters().outstanding, paths_);
    return measure(bench_, load);
  }

 private:
  const Parameters& parameters() const { return bench_.parameters(); }
  Bench& bench_;
  Connections connections_;
  std::vector<RawSession> sessions_;
  Paths paths_;
};

/// The newest revision that the leader has: readers that ask for it see all keys.
int64_t newest_revision(Bench& bench, const std::string& path) {
  class One final : public Pipeline<client::GetKey> {
   public:
    using Pipeline::Pipeline;
    int64_t revision = 0;

   private:
    void answered(const Lane&, const api::GetResult& result, Instant) override {
      revision = result.header.revision;
    }
    bool prepare(Lane&) override { return revision == 0; }
  };
  GetLane lane{bench.dial(1)[0], {}, {}};
  lane.request.path = path;
  One one(bench, {lane}, 1);
  one.start();
  one.finish();
  return one.revision;
}

}  // namespace

nlohmann::json run_puts(Bench& bench) {
  KeyBench keys(bench);
  keys.fill();
  nlohmann::json result = keys.puts();
  keys.clear();
  return result;
}

nlohmann::json run_gets(Bench& bench) {
  using Currency = Parameters::Currency;
  const Parameters& p = bench.parameters();
  KeyBench keys(bench);
  keys.fill();
  const bool linearizable = p.consistency == Currency::kLinearizable;
  // Of a local read it is the point that any server answers it.
  const Connections connections =
      bench.dial_spread(std::min(p.connections, p.outstanding), p.spread || !linearizable);
  const int64_t revision = newest_revision(bench, keys.paths().top());
  bench.turn_for(500ms);  // all servers have the keys
  std::vector<GetLane> lanes;
  for (const auto& connection : connections) {
    GetLane lane{connection, {}, {}};
    lane.request.consistency =
        linearizable ? api::Consistency::LINEARIZABLE : api::Consistency::LOCAL;
    if (p.consistency == Currency::kRevision) lane.session.context.minRevision = revision;
    lanes.push_back(std::move(lane));
  }
  GetLoad load(bench, std::move(lanes), p.outstanding, keys.paths());
  nlohmann::json result = measure(bench, load);
  keys.clear();
  return result;
}

nlohmann::json run_keys(Bench& bench) {
  MemoryGrowth growth(bench);
  KeyBench keys(bench);
  const Instant began = bench.loop().clock().now();
  const auto cpu = bench.cpu();
  keys.fill();
  const double seconds = std::chrono::duration<double>(bench.loop().clock().now() - began).count();
  nlohmann::json result;
  bench.add_rates(result["load"], keys.paths().count(), seconds, cpu);
  const auto copies = static_cast<double>(keys.paths().count()) *
                      static_cast<double>(bench.parameters().servers.size());
  const double per_key = growth.per(copies);
  if (bench.cluster() != nullptr) result["servers_memory_bytes_per_key"] = per_key;
  result["puts"] = keys.puts();
  keys.clear();
  return result;
}

}  // namespace holdfast::bench
