#include <tidemark.h>

static int echo (tidemark_call_t *call, void *argument)
{
    (void) argument;
    return (int) tidemark_ack (call, json_deep_copy (tidemark_call_args (call)));
}

int main (int argc, char *argv[])
{
    tidemark_options_t options = {.endpoint = argc > 1 ? argv[1] : "no endpoint"};
    tidemark_t *client = tidemark_connect (&options);
    if (!client)
        return 3;
    tidemark_status_t status = tidemark_handle (client, "/", "echo", echo, NULL, 0);
    if (status == TIDEMARK_OK)
        status = tidemark_service (client, "echo", NULL);
    if (status == TIDEMARK_OK)
        status = tidemark_run (client);
    tidemark_close (&client);
    return status == TIDEMARK_OK ? 0 : 1;
}
