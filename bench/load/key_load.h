// Keys that the profiles write and read: their paths, how they are created and removed, how they
// are overwritten.
#pragma once

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "bench/load/pipeline.h"

namespace holdfast::bench {

using PutLane = Pipeline<client::PutKey>::Lane;

inline constexpr size_t kKeysPerFolder = 1'000;

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
  /// From now on any() is one of `busy` keys, evenly spread over all.
  void keep_to(size_t busy) { busy_ = std::min(busy, count_); }
  /// Another one each time, with no order.
  size_t any() { return mix_.next() % busy_ * (count_ / busy_); }

 private:
  std::string top_;
  size_t count_;
  size_t busy_ = count_;
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
class PutLoad : public Pipeline<client::PutKey> {
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

/// One read of the root, which is always there.
class RootRead final : public Pipeline<client::GetKey> {
 public:
  RootRead(Bench& bench, const Lane& lane) : Pipeline(bench, {lane}, 1) {
    start();
    finish();
  }
  int64_t revision = 0;  ///< of the answer

 private:
  void answered(const Lane&, const api::GetResult& result, Instant) override {
    revision = result.header.revision;
  }
  bool prepare(Lane& lane) override {
    lane.request.path = "/";
    return revision == 0;
  }
};

/// The newest revision that the leader has: readers that ask for it see all keys.
inline int64_t newest_revision(Bench& bench) {
  return RootRead(bench, {bench.dial(1)[0], {}, {}}).revision;
}

/// Until the server at `address` has come to `revision`.
inline void await_revision(Bench& bench, const std::string& address, int64_t revision) {
  constexpr int64_t kPatienceMs = 600'000;
  RootRead::Lane lane{bench.dial(1, address)[0], {}, {}};
  lane.request.consistency = api::Consistency::LOCAL;
  lane.session.context.minRevision = revision;
  lane.session.context.deadlineMs = kPatienceMs;
  RootRead(bench, lane);
}

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
    ClearLoad load(bench_, {{connections_[0], {}, {}}}, paths_);
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

}  // namespace holdfast::bench
