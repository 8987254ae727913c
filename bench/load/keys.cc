// puts, gets, keys: writes and reads of keys, pipelined.
#include "bench/load/key_load.h"

namespace holdfast::bench {
namespace {

constexpr size_t kBusyKeys = 1'000;

using GetLane = Pipeline<client::GetKey>::Lane;

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
  const int64_t revision = newest_revision(bench);
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
  // What waits for the snapshot would count as memory of the keys, and its writing as cost of puts.
  result["rest_seconds"] = bench.wait_for_rest();
  const auto copies = static_cast<double>(keys.paths().count()) *
                      static_cast<double>(bench.parameters().servers.size());
  const double per_key = growth.per(copies);
  if (bench.cluster() != nullptr) result["servers_memory_bytes_per_key"] = per_key;
  result["puts"] = keys.puts();
  // What the number of keys costs by itself: the same few are written whatever there is besides.
  keys.paths().keep_to(kBusyKeys);
  // The first of these bring the others' changes to the snapshot.
  keys.puts();
  bench.wait_for_rest();
  result["puts_to_1000_of_them"] = keys.puts();
  keys.clear();
  return result;
}

}  // namespace holdfast::bench
