// Server reflection by both of its names, as grpcurl and its like ask for it.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/descriptor_database.h"
#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "server/rpc/shared/reflection_service.h"
#include "tests/server/running_server.h"

namespace attention {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptorProto;
using testing::ElementsAre;
using testing::HasSubstr;

struct V1 {
  using Protocol = grpc::reflection::v1::ServerReflection;
  using Request = grpc::reflection::v1::ServerReflectionRequest;
  using Response = grpc::reflection::v1::ServerReflectionResponse;
};
struct V1Alpha {
  using Protocol = grpc::reflection::v1alpha::ServerReflection;
  using Request = grpc::reflection::v1alpha::ServerReflectionRequest;
  using Response = grpc::reflection::v1alpha::ServerReflectionResponse;
};

// A stream of questions.
template <typename Version>
class Questions {
 public:
  using Request = typename Version::Request;
  using Response = typename Version::Response;

  explicit Questions(const std::string& target)
      : stub_(Version::Protocol::NewStub(
            grpc::CreateChannel(target, grpc::InsecureChannelCredentials()))) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    stream_ = stub_->ServerReflectionInfo(&context_);
  }
  ~Questions() {
    context_.TryCancel();
    if (stream_ != nullptr) stream_->Finish();
  }

  bool Write(const Request& request) { return stream_->Write(request); }
  Response Ask(const Request& request) {
    Response response;
    EXPECT_TRUE(Write(request) && stream_->Read(&response)) << "the stream has ended";
    return response;
  }
  Response AskForSymbol(const std::string& name) {
    Request request;
    request.set_file_containing_symbol(name);
    return Ask(request);
  }
  std::vector<std::string> ListServices() {
    Request request;
    request.set_list_services("");
    const Response response = Ask(request);
    std::vector<std::string> names;
    for (const auto& service : response.list_services_response().service()) {
      names.push_back(service.name());
    }
    return names;
  }
  grpc::Status End() {
    stream_->WritesDone();
    return std::exchange(stream_, nullptr)->Finish();
  }

 private:
  const std::unique_ptr<typename Version::Protocol::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<Request, Response>> stream_;
};

// What a client makes of the files that it is given, which have to be all that it needs.
struct Received {
  explicit Received(std::unique_ptr<google::protobuf::SimpleDescriptorDatabase> of)
      : files(std::move(of)), pool(files.get()) {}

  const std::unique_ptr<google::protobuf::SimpleDescriptorDatabase> files;
  const DescriptorPool pool;
};
template <typename Response>
std::unique_ptr<Received> Receive(const Response& response) {
  auto files = std::make_unique<google::protobuf::SimpleDescriptorDatabase>();
  for (const std::string& bytes : response.file_descriptor_response().file_descriptor_proto()) {
    FileDescriptorProto file;
    EXPECT_TRUE(file.ParseFromString(bytes) && files->Add(file));
  }
  return std::make_unique<Received>(std::move(files));
}

template <typename Version>
class ReflectionTest : public RunningServer {};
using Versions = testing::Types<V1, V1Alpha>;
TYPED_TEST_SUITE(ReflectionTest, Versions);

TYPED_TEST(ReflectionTest, ListsTheServices) {
  Questions<TypeParam> questions(this->server_->address());
  EXPECT_THAT(questions.ListServices(),
              ElementsAre("attention.v1.AttentionService", "attention.v1.EncoderService",
                          "attention.v1.LayerService", "grpc.health.v1.Health",
                          "grpc.reflection.v1.ServerReflection",
                          "grpc.reflection.v1alpha.ServerReflection"));
  EXPECT_TRUE(questions.End().ok());
}

TYPED_TEST(ReflectionTest, DescribesWhatItListsWithAllThatIsImported) {
  Questions<TypeParam> questions(this->server_->address());
  std::vector<std::string> symbols = questions.ListServices();
  symbols.insert(symbols.end(),
                 {"attention.v1.Tensor", "attention.v1.Tensor.shape", "google.rpc.BadRequest",
                  "attention.v1.LayerService.UploadLayer", "attention.v1.RESULT_OUTPUT"});
  for (const std::string& symbol : symbols) {
    const auto response = questions.AskForSymbol(symbol);
    EXPECT_EQ(response.original_request().file_containing_symbol(), symbol);
    const auto received = Receive(response);
    FileDescriptorProto first;
    first.ParseFromString(response.file_descriptor_response().file_descriptor_proto(0));
    const auto* const file = received->pool.FindFileByName(first.name());
    ASSERT_NE(file, nullptr) << symbol << " lacks something that is imported";
    EXPECT_EQ(received->pool.FindFileContainingSymbol(symbol), file) << symbol;
    typename TypeParam::Request by_name;
    by_name.set_host("a.host");
    by_name.set_file_by_filename(file->name());
    const auto same = questions.Ask(by_name);
    EXPECT_EQ(same.file_descriptor_response().SerializeAsString(),
              response.file_descriptor_response().SerializeAsString());
    EXPECT_EQ(same.valid_host(), "a.host");
  }
}

TYPED_TEST(ReflectionTest, SaysWhatIsNotThereAndGoesOn) {
  Questions<TypeParam> questions(this->server_->address());
  std::vector<typename TypeParam::Request> unknown(5);
  unknown[0].set_file_by_filename("no.proto");
  unknown[1].set_file_containing_symbol("no.Symbol");
  unknown[2].set_all_extension_numbers_of_type("no.Type");
  unknown[3].mutable_file_containing_extension()->set_containing_type("no.Type");
  unknown[4].mutable_file_containing_extension()->set_containing_type("attention.v1.Tensor");
  for (const auto& request : unknown) {
    const auto error = questions.Ask(request).error_response();
    EXPECT_EQ(error.error_code(), grpc::StatusCode::NOT_FOUND);
    EXPECT_THAT(error.error_message(), HasSubstr("there is no"));
  }
  EXPECT_EQ(questions.Ask({}).error_response().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  typename TypeParam::Request huge;
  huge.set_file_containing_symbol(std::string(1 << 20, 'x'));
  const auto refused = questions.Ask(huge);
  EXPECT_EQ(refused.error_response().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(refused.error_response().error_message(), HasSubstr("want at most 4096"));
  EXPECT_LT(refused.ByteSizeLong(), 1000u) << "it is not sent back";
  EXPECT_FALSE(questions.ListServices().empty());
}

TYPED_TEST(ReflectionTest, TellsOfNoExtensionsWhereThereAreNone) {
  typename TypeParam::Request request;
  request.set_all_extension_numbers_of_type("attention.v1.Tensor");
  const auto response = Questions<TypeParam>(this->server_->address()).Ask(request);
  EXPECT_TRUE(response.has_all_extension_numbers_response());
  EXPECT_EQ(response.all_extension_numbers_response().base_type_name(), "attention.v1.Tensor");
  EXPECT_EQ(response.all_extension_numbers_response().extension_number_size(), 0);
}

// Each open stream once held one of the server's 256 threads.
TYPED_TEST(ReflectionTest, StreamsThatDoNotEndHoldUpNobody) {
  std::deque<Questions<TypeParam>> open;
  for (int i = 0; i < 300; ++i) {
    EXPECT_FALSE(open.emplace_back(this->server_->address()).ListServices().empty());
  }
  EXPECT_TRUE(this->client_->ListLayers().ok());
  for (int i = 0; i < 2000; ++i) open[0].AskForSymbol("no.Symbol");
  EXPECT_TRUE(this->server_->Stop().ok());
}

TYPED_TEST(ReflectionTest, WhoDoesNotReadTheAnswersIsCutOff) {
  this->Start({.port = 0, .max_stall = absl::Milliseconds(500), .threads = 1});
  Questions<TypeParam> questions(this->server_->address());
  typename TypeParam::Request request;
  request.set_file_containing_symbol("attention.v1.AttentionService");
  while (questions.Write(request)) {
  }
  EXPECT_FALSE(Questions<TypeParam>(this->server_->address()).ListServices().empty());
}

// A file of proto2 with two extensions of a message in another one.
void AddExtensions(DescriptorPool& pool) {
  FileDescriptorProto base;
  base.set_name("base.proto");
  base.set_package("base");
  auto* const message = base.add_message_type();
  message->set_name("Open");
  auto* const range = message->add_extension_range();
  range->set_start(100);
  range->set_end(200);
  ASSERT_NE(pool.BuildFile(base), nullptr);
  FileDescriptorProto more;
  more.set_name("more.proto");
  more.add_dependency("base.proto");
  for (const int number : {150, 101}) {
    auto* const extension = more.add_extension();
    extension->set_name(absl::StrCat("number_", number));
    extension->set_extendee(".base.Open");
    extension->set_number(number);
    extension->set_type(google::protobuf::FieldDescriptorProto::TYPE_INT32);
    extension->set_label(google::protobuf::FieldDescriptorProto::LABEL_OPTIONAL);
  }
  ASSERT_NE(pool.BuildFile(more), nullptr);
}

template <typename Version>
void ExpectExtensions(const std::string& target) {
  Questions<Version> questions(target);
  typename Version::Request numbers;
  numbers.set_all_extension_numbers_of_type("base.Open");
  EXPECT_THAT(questions.Ask(numbers).all_extension_numbers_response().extension_number(),
              ElementsAre(101, 150));
  typename Version::Request file;
  file.mutable_file_containing_extension()->set_containing_type("base.Open");
  file.mutable_file_containing_extension()->set_extension_number(150);
  const auto response = questions.Ask(file);
  EXPECT_EQ(response.file_descriptor_response().file_descriptor_proto_size(), 2);
  EXPECT_NE(Receive(response)->pool.FindExtensionByName("number_150"), nullptr);
  file.mutable_file_containing_extension()->set_extension_number(102);
  EXPECT_EQ(questions.Ask(file).error_response().error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST(ReflectionServices, TellOfExtensions) {
  DescriptorPool pool;
  AddExtensions(pool);
  rpc::StallGuard stalls(absl::Seconds(30), nullptr);
  rpc::ReflectionServices services({}, stalls, pool);
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  services.Register(builder);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  ExpectExtensions<V1>(absl::StrCat("127.0.0.1:", port));
  ExpectExtensions<V1Alpha>(absl::StrCat("127.0.0.1:", port));
}

}  // namespace
}  // namespace attention
