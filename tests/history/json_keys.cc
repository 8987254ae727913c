#include "tests/history/json_keys.h"

namespace holdfast::history {
namespace {

const Names<Target> kTargets = {
    {"EXISTS", Target::kExists}, {"VERSION", Target::kVersion},
    {"VALUE", Target::kValue},   {"MODIFY_REVISION", Target::kModifyRevision},
    {"HOLDS", Target::kHolds},   {"CREATE_REVISION", Target::kCreateRevision}};
const Names<Relation> kRelations = {{"EQUAL", Relation::kEqual},
                                    {"NOT_EQUAL", Relation::kNotEqual},
                                    {"LESS", Relation::kLess},
                                    {"GREATER", Relation::kGreater}};

template <class T, class Read>
std::vector<T> list_of(Fields& fields, const char* key, Read read) {
  std::vector<T> all;
  const Json* list = fields.find(key);
  if (list == nullptr) return all;
  if (!list->is_array()) throw Malformed(std::string("'") + key + "' is not a list");
  for (const Json& item : *list) {
    Fields each(item, key);
    all.push_back(read(each));
    each.done();
  }
  return all;
}

std::string string_of(Fields& fields, const char* key) {
  std::string text;
  fields.string(key, text);
  return text;
}

KeyWrite write_of(KeyAct act, Fields& fields) {
  KeyWrite write{.act = act};
  fields.string("path", write.path);
  fields.string("value", write.value);
  fields.number("expectedVersion", write.expected_version);
  fields.boolean("ephemeral", write.ephemeral);
  fields.boolean("sequential", write.sequential);
  fields.boolean("container", write.container);
  fields.number("ttlMs", write.ttl_ms);
  fields.boolean("makeParents", write.make_parents);
  fields.boolean("recursive", write.recursive);
  fields.string("guardPath", write.guard_path);
  fields.number("guardHolder", write.guard_holder);
  if (write.path.empty()) throw Malformed("a write has no path");
  return write;
}

KeyWrite step_of(Fields& fields) {
  const std::string act = string_of(fields, "act");
  if (act == "put") return write_of(KeyAct::kPut, fields);
  if (act == "create") return write_of(KeyAct::kCreate, fields);
  if (act == "remove") return write_of(KeyAct::kRemove, fields);
  throw Malformed("'act' is unknown: '" + act + "'");
}

KeyCompare compare_of(Fields& fields) {
  KeyCompare compare;
  fields.name("target", kTargets, compare.target);
  fields.name("relation", kRelations, compare.relation);
  fields.string("path", compare.path);
  fields.number("number", compare.number);
  fields.string("value", compare.value);
  return compare;
}

KeyResult result_of(Fields& fields) {
  KeyResult result;
  fields.string("path", result.path);
  fields.number("version", result.version);
  fields.number("removed", result.removed);
  return result;
}

SeenKey key_of(Fields& fields) {
  SeenKey seen;
  fields.string("path", seen.path);
  fields.string("value", seen.value);
  fields.number("version", seen.version);
  fields.number("createRevision", seen.create_revision);
  fields.number("modifyRevision", seen.modify_revision);
  fields.number("ephemeralOwner", seen.owner);
  return seen;
}

}  // namespace

void add_key_arguments(Fields& fields, Arguments& arguments) {
  arguments.compares = list_of<KeyCompare>(fields, "compares", compare_of);
  arguments.writes = list_of<KeyWrite>(fields, "writes", step_of);
  arguments.otherwise = list_of<KeyWrite>(fields, "otherwise", step_of);
  const Json* paths = fields.find("paths");
  if (paths != nullptr) arguments.paths = paths->get<std::vector<std::string>>();
  fields.boolean("subtree", arguments.subtree);
  fields.boolean("statOnly", arguments.stat_only);
}

void add_key_answer(Fields& fields, Answer& answer) {
  fields.number("writeRevision", answer.write_revision);
  bool failed = false;
  fields.boolean("failed", failed);
  answer.succeeded = !failed;
  answer.results = list_of<KeyResult>(fields, "results", result_of);
  answer.keys = list_of<SeenKey>(fields, "keys", key_of);
}

}  // namespace holdfast::history
