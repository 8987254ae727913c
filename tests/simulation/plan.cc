#include "tests/simulation/plan.h"

#include <array>

namespace holdfast::sim {

namespace {

constexpr int64_t kBig = int64_t{1} << 62;

constexpr Field<Weather> kWeather[] = {
    {"entropy", &Weather::entropy, 0, kBig},
    {"thrift", &Weather::thrift, 0, 1},
    {"judged", &Weather::judged, 0, 1},
    {"elections", &Weather::elections, 0, 1},
    {"length_ms", &Weather::length_ms, 100, 100'000'000},
    {"nodes", &Weather::nodes, 1, 7},
    {"spares", &Weather::spares, 0, 6},
    {"old_level", &Weather::old_level, 0, 100},
    {"clients", &Weather::clients, 1, 16},
    {"paths", &Weather::paths, 1, 16},
    {"semaphores", &Weather::semaphores, 0, 8},
    {"core_mask", &Weather::core_mask, 0, 127},
    {"rest", &Weather::rest, 0, 2},
    {"heartbeat_ms", &Weather::heartbeat_ms, 1, 10'000},
    {"election_min_ms", &Weather::election_min_ms, 10, 60'000},
    {"election_max_ms", &Weather::election_max_ms, 11, 120'000},
    {"pre_vote", &Weather::pre_vote, 0, 1},
    {"check_quorum", &Weather::check_quorum, 0, 1},
    {"fast_failover", &Weather::fast_failover, 0, 1},
    {"ttl_ms", &Weather::ttl_ms, 100, 86'400'000},
    {"drift_ppm", &Weather::drift_ppm, 0, 500'000},
    {"clock_ppm", &Weather::clock_ppm, 0, 500'000},
    {"segment_bytes", &Weather::segment_bytes, 4'096, 1 << 24},
    {"inflight", &Weather::inflight, 1, 1'024},
    {"append_bytes", &Weather::append_bytes, 1, 8 << 20},
    {"catchup_bytes", &Weather::catchup_bytes, 1, 8 << 20},
    {"committed_bytes", &Weather::committed_bytes, 1, 8 << 20},
    {"window_bytes", &Weather::window_bytes, 1, 1 << 28},
    {"uncommitted_bytes", &Weather::uncommitted_bytes, 1'024, 1 << 28},
    {"pending_commands", &Weather::pending_commands, 1, 1 << 20},
    {"unequal", &Weather::unequal, 0, 1},
    {"history_events", &Weather::history_events, 10, 1 << 20},
    {"history_bytes", &Weather::history_bytes, 1'000, 1 << 28},
    {"reply_entries", &Weather::reply_entries, 1, 1'000},
    {"watches_max", &Weather::watches_max, 1, 10'000},
    {"snapshot_ms", &Weather::snapshot_ms, 0, 86'400'000},
    {"snapshot_bytes", &Weather::snapshot_bytes, 1, 1 << 30},
    {"load_ms", &Weather::load_ms, 0, 60'000},
    {"room_bytes", &Weather::room_bytes, 0, 1 << 30},
    {"only_full", &Weather::only_full, 0, 1},
    {"loss", &Weather::loss_permille, 0, 1'000},
    {"duplicate", &Weather::duplicate_permille, 0, 1'000},
    {"reorder", &Weather::reorder_permille, 0, 1'000},
    {"delay_us", &Weather::delay_us, 1, 60'000'000},
    {"tail", &Weather::tail_permille, 0, 1'000},
    {"tail_us", &Weather::tail_us, 0, 60'000'000},
    {"disk_us", &Weather::disk_us, 1, 60'000'000},
    {"disk_tail", &Weather::disk_tail_permille, 0, 1'000},
    {"disk_tail_us", &Weather::disk_tail_us, 0, 60'000'000},
    {"turn_us", &Weather::turn_us, 0, 1'000'000},
};

constexpr Field<Fault> kFault[] = {
    {"at", &Fault::at_ms, 0, 100'000'000}, {"for", &Fault::for_ms, 0, 100'000'000},
    {"node", &Fault::node, 0, 16},         {"other", &Fault::other, 0, 16},
    {"mask", &Fault::mask, 0, 127},        {"amount", &Fault::amount, -kBig, kBig},
    {"seed", &Fault::seed, 0, kBig},
};

constexpr Field<Op> kOp[] = {
    {"think", &Op::think_ms, 0, 100'000'000},
    {"path", &Op::path, 0, 24},
    {"mask", &Op::mask, 0, 0xffff},
    {"mode", &Op::mode, 1, 3},
    {"permits", &Op::permits, 0, 1'000},
    {"wait", &Op::wait_ms, -1, 100'000'000},
    {"hold", &Op::hold_ms, 0, 100'000'000},
    {"delay", &Op::delay_ms, 0, 600'000},
    {"max_queue", &Op::max_queue, 0, 1'000},
    {"enqueue", &Op::enqueue, 0, 1},
    {"value", &Op::value, 0, 1'000'000},
    {"cancel", &Op::cancel_ms, 0, 100'000'000},
    {"handover", &Op::handover, 0, 1},
    {"local", &Op::local, 0, 1},
    {"notice", &Op::notice_ms, 0, 3'600'000},
    {"force", &Op::force, 0, 1},
    {"target", &Op::target, 0, 16},
    {"give_up", &Op::give_up, 0, 1},
    {"early", &Op::early, 0, 1},
    {"key_kind", &Op::key_kind, 1, 4},
    {"ttl", &Op::ttl_ms, 0, 2'592'000'000},
    {"version", &Op::version, 0, 2},
    {"sequential", &Op::sequential, 0, 1},
    {"recursive", &Op::recursive, 0, 1},
    {"parents", &Op::parents, 0, 1},
    {"guard", &Op::guard, 0, 2},
    {"page", &Op::page, 0, 1'000},
    {"since", &Op::since, 0, 3},
    {"scope", &Op::scope, 1, 3},
    {"space", &Op::space, 1, 3},
    {"filter", &Op::filter, 0, 63},
    {"rest", &Op::rest_ms, 0, 100'000'000},
    {"compares", &Op::compares, 0, 63},
    {"relation", &Op::relation, 1, 4},
    {"step_guards", &Op::step_guards, 0, 31},
    {"sessionless", &Op::sessionless, 0, 1},
    {"copies", &Op::copies, 0, 4},
};

constexpr std::array<std::string_view, static_cast<size_t>(FaultKind::kCount)> kFaultNames = {
    "kill",          "power",       "power_all",     "kill_power",
    "crash_at_disk", "io_error",    "read_error",    "disk_full",
    "slow_disk",     "flip_bit",    "lost_write",    "stray_write",
    "wipe",          "old_image",   "pause",         "wall_jump",
    "step_down",     "transfer",    "unequal",       "hold_apply",
    "flip_snapshot", "alter_state", "hold_snapshot", "members",
    "upgrade",       "raise",       "unmount",       "operate",
    "die_at_disk",   "small_disk",  "lose_current",  "remove_snapshot",
    "split",         "one_way",     "ring",          "bridge",
    "chain",         "flap",        "clog",          "swizzle",
    "reset",         "lie",         "old_messages",  "client_cut",
    "client_pause",  "client_deaf", "client_dies",
};

constexpr std::array<std::string_view, static_cast<size_t>(OpKind::kCount)> kOpNames = {
    "lock",    "lock_all", "describe",  "check", "list",   "revoke", "expire",
    "setting", "close",    "stray",     "put",   "create", "remove", "transact",
    "get",     "get_many", "list_keys", "await", "watch",
};

template <class T>
std::string fields_text(const T& object, std::span<const Field<T>> fields) {
  static const T kPlain{};
  std::string text;
  for (const Field<T>& field : fields) {
    if (object.*field.member == kPlain.*field.member) continue;
    text.append(" ").append(field.name).append("=");
    text.append(std::to_string(object.*field.member));
  }
  return text;
}

}  // namespace

std::span<const Field<Weather>> weather_fields() { return kWeather; }
std::span<const Field<Fault>> fault_fields() { return kFault; }
std::span<const Field<Op>> op_fields() { return kOp; }

std::string_view name_of(FaultKind kind) { return kFaultNames[static_cast<size_t>(kind)]; }
std::string_view name_of(OpKind kind) { return kOpNames[static_cast<size_t>(kind)]; }

std::string describe(const Weather& weather) {
  return "weather" + fields_text(weather, weather_fields());
}
std::string describe(const Fault& fault) {
  return std::string(name_of(fault.kind)) + fields_text(fault, fault_fields());
}
std::string describe(const Op& op) {
  return std::string(name_of(op.kind)) + fields_text(op, op_fields());
}

}  // namespace holdfast::sim
