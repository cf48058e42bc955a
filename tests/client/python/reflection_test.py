"""Server reflection, asked by clients that others wrote."""

import json
import shutil
import subprocess
import unittest

from running_server import ServerTest

SERVICES = ["attention.v1.AttentionService", "attention.v1.EncoderService",
            "attention.v1.LayerService", "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"]


class Reflection(ServerTest):
    def test_grpcio_reflection_learns_the_messages(self):
        try:
            import grpc
            from google.protobuf import descriptor_pool
            from grpc_reflection.v1alpha import proto_reflection_descriptor_database
        except ImportError:
            self.skipTest("the package grpcio-reflection is not installed")
        with grpc.insecure_channel(self.target) as channel:
            database = proto_reflection_descriptor_database.ProtoReflectionDescriptorDatabase(channel)
            self.assertEqual(sorted(database.get_services()), SERVICES)
            pool = descriptor_pool.DescriptorPool(database)
            service = pool.FindServiceByName("attention.v1.AttentionService")
            request = service.methods_by_name["ComputeAttention"].input_type
            self.assertIn("tokens", request.fields_by_name)
            self.assertEqual(pool.FindMessageTypeByName("google.rpc.BadRequest").full_name,
                             "google.rpc.BadRequest")
            self.assertEqual(list(database.FindAllExtensionNumbers("attention.v1.Tensor")), [])
            with self.assertRaises(KeyError):
                pool.FindMessageTypeByName("no.Such")

    def test_grpcurl_lists_and_calls(self):
        if shutil.which("grpcurl") is None:
            self.skipTest("grpcurl is not installed")

        def grpcurl(*arguments):
            return subprocess.run(["grpcurl", "-plaintext", *arguments], check=True, text=True,
                                  stdout=subprocess.PIPE).stdout

        self.assertEqual(grpcurl(self.target, "list").split(), SERVICES)
        answer = grpcurl("-d", '{"tokens": {"tokens": {"shape": [1, 1], "float_values": [1]}}}',
                         self.target, "attention.v1.AttentionService/ComputeAttention")
        self.assertIn("output", json.loads(answer))


if __name__ == "__main__":
    unittest.main()
