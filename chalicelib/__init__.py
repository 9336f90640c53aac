"""Everything that goes into a Lambda, in reading order. Arrows point inward: see docs/adr/0001.

What there is
    model           the nouns and their invariants
    errors          every failure a caller can meet
    ports           what the use cases need from the outside
    version         the release

The way of a reading
    codec           bytes and JSON to the model and back
    strict_json     JSON from strangers
    plain           quick looks at values
    formats         which shape a payload has
    flatten         from nested objects to measurements
    senml, cbor     packs of RFC 8428, as JSON and in binary
    limits          how large a payload may be
    times           instants and durations, in every spelling
    stamps          server times that differ
    ingest          accepted into the queue, stored from it
    tickets         many invocations wait for one commit
    delivery        what came from a broker in one go
    storable        the last check before the store
    retention       how long telemetry is kept

Reading it back
    query           history, newest values, aggregates, deleting
    aggregates      what an aggregation asks and answers
    windows         where windows begin and end
    accumulate      from the numbers of a window to its statistics
    fills           windows that have no value
    analytics       what a fleet did
    exports         a whole range on its way out
    interchange     how readings are written for other programs

Devices and people
    keys            keys and tokens: made, checked, compared
    access          from a credential to what may be touched
    devices         register, change, rotate, leave
    tokens          of people and programs
    configuration   values of a device with their types
    declarations    declared types of measurements
    commands        sent, fetched, answered, given up
    twin            desired and reported state
    topics          the MQTT topics
    provisioning    a broker's accounts, as the records are
    iot_core        AWS IoT Core as the broker
    upkeep          what runs on a schedule

HTTP
    declare         what an endpoint declares of itself
    calls           one call, free of the web framework
    admission       who is let in, and how often
    answers         what goes back
    http            from a declaration to a route
    edge            the app as API Gateway sees it
    api             the endpoints, a module for each resource
    openapi         the document, out of the declarations
    docs_page       the page, out of the document
    status          how the service is

Around it
    variables       how settings are declared
    settings        all of them
    wiring          builds the adapters that the settings ask for
    adapters        one technology each
    logs            how log records look
    emf             metrics as log lines
"""
